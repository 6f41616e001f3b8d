"""What a run keeps on disk: layout, lock, source, log of evaluations, moved files."""
