"""Encoders of precomputed features."""
