"""Robustness: corruptions of text, speech and faces, and the curves measured under them."""
