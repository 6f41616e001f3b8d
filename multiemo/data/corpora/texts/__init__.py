"""Adapters of corpora with text only."""
