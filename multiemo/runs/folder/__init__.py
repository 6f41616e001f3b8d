"""The run folder on disk: layout, lock, source, evaluation log and recorded paths."""
