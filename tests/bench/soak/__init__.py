"""A load for hours: what each part of the stack holds, minute by minute, and whether any of it grows."""
