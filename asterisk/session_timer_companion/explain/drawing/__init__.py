"""A call as a ladder: its rows, and the ways to draw them."""
