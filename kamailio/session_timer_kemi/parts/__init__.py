"""The parts that the edge plays in a transaction: UAS, UAC or proxy, each with its edits of the message."""
