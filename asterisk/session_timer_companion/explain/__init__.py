"""``session-timer explain``: who broke a session timer, read off a capture. Needs nothing of the daemon."""
