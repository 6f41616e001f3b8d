"""The cache of preprocessed tensors and embeddings: keys, entries, the LMDB file, maintenance."""
