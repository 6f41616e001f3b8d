"""Corpora, splits, media, caching and batching: everything between a folder on disk and a batch."""
