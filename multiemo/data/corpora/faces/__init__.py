"""Still pictures of faces."""
