"""Fine-tuning, such that a killed run continues to the same weights."""
