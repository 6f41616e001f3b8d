"""Arrays -> tensors, as an encoder's InputSpec asks. No paths in here."""
