"""Classic baselines: hand-made descriptors and classic classifiers."""
