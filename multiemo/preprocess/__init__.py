"""Arrays and texts -> tensors, according to an encoder's InputSpec. Nothing here reads media files."""
