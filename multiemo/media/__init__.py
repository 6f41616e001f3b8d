"""Media files: opened, probed, decoded. The only place that reads sound and pictures from disk."""
