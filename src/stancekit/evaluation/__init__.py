"""Scores and the verb that prints them."""
