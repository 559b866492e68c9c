"""Training and its verb."""
