"""The tests of every part, and the harness that drives the lab."""
