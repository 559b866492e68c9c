"""Labelling rows in bulk."""
