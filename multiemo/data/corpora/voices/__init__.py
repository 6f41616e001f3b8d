"""Adapters of corpora with speech only."""
