"""From SIP messages to verdicts: calls, what was agreed on them, which rule was broken by whom."""
