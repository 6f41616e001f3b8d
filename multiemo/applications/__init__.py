"""Applications of a trained model: texts in bulk, calls, and the mood of one person over months."""
