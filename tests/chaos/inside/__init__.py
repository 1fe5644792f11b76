"""Programs that run in the lab's network, in a container of their own; standard library only."""
