"""Manifests: rows and their rules, files, merging."""
