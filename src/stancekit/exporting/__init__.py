"""A trained model as graphs for other engines, each measured beside the model itself."""
