"""Adapters of corpora with still pictures of faces."""
