"""Statements to pairs: holders, targets, relevance."""
