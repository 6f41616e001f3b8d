"""Clips that are copies of each other: fingerprints of sound and pictures, and the search."""
