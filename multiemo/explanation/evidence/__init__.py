"""Evidence inside one modality, one module per kind of input."""
