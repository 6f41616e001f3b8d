"""The one trainer, its optimiser and its checkpoints."""
