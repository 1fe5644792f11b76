"""What an operator may stop, start or ask for while the companion runs."""
