"""Scores of models on labelled pairs."""
