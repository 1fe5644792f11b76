"""HTTP: metrics, health, the calls as JSON; the server of the daemon and the client of the commands."""
