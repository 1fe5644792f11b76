"""What happens to calls: the one place where it is noted, the last of it kept, and others told of it."""
