"""Manifests: row validation, file formats, reading, writing and merging."""
