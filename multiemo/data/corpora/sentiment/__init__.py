"""Adapters of corpora of sentiment intensity, and readers of their file formats."""
