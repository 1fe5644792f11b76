"""What grows with the number of calls, measured, drawn, and put on paper: docs/reference/scale.md."""
