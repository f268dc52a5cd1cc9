"""Sessions: their cells, events and what survives a restart."""
