"""Leak-free splits: grouping, strategies, checks of what a checkpoint has seen, and suggested settings."""
