"""The timer of each tracked call: when it is due, what a record proves, how it is refreshed, how it ends."""
