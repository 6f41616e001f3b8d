"""Corpora of sentiment intensity, and the files in which they are shared."""
