"""What outlives a message: AVPs live as long as the transaction, hash tables as long as the dialog."""
