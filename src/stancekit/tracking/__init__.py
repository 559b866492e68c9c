"""MLflow: the store, runs, models."""
