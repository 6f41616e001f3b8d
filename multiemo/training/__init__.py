"""The one trainer, its optimiser and its resumable state."""
