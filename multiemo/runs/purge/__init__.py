"""Removes a person from caches, manifests and everything that runs have recorded, with a receipt."""
