"""The model card: what ships, what it was measured to do and where it fails, from files of the repository alone."""
