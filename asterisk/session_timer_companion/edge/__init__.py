"""The edge, as the companion reads it: records, changes, clocks."""
