"""One file a corpus: folder on disk -> manifest rows."""
