"""Writes the generated pages of the documentation: one module per page or kind of file."""
