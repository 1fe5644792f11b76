"""Messages brought together: into calls, into the legs of one call, into dialogs hop by hop."""
