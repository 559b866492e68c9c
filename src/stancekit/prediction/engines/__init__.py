"""What runs a network over token batches: one protocol, one file per engine."""
