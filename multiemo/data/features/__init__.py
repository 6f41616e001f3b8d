"""Precomputed features: files, columns, and feature pickles read without running them."""
