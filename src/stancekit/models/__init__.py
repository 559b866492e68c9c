"""Models behind one interface: cross-encoder and baselines, saved as one folder."""
