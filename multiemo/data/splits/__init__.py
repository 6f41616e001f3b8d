"""Splits that cannot leak: groups, parts, who was seen, and suggested settings."""
