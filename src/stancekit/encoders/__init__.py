"""Encoders: found, verified by hash, and used for sentence embeddings."""
