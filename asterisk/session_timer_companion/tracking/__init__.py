"""Which calls are tracked: through restarts, reconnects, transfers and changes at the edge."""
