"""Asterisk's manager interface: log in, stay connected, ask, hear events."""
