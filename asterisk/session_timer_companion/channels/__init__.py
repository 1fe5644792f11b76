"""Asterisk's channels: which there are, what is known of each, what makes one send a refresh."""
