"""Labelled pairs: reading, splitting, fingerprints, leaks."""
