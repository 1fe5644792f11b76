"""Programs that the lab runs inside a container, by standard input; standard library only."""
