"""One training or many: seeds, folds, baselines and variants under one parent run, continued where they stopped."""
