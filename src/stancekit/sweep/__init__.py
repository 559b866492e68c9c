"""The search for training settings: what is searched, the study that remembers it, and a process for every trial."""
