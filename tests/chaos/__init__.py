"""Faults on the real stack while calls go on: who was cut off, which dead call stood, what is left."""
