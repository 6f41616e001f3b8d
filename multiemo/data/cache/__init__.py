"""The cache of preprocessed tensors and embeddings: keys, entries, LMDB storage and maintenance."""
