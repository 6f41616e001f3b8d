"""Texts without media."""
