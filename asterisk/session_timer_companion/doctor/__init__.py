"""`session-timer doctor`: looks at Asterisk, edge and companion, and says what to change."""
