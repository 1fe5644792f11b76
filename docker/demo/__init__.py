"""`make demo`: four calls on the real stack, told as they happen, then drawn and judged."""
