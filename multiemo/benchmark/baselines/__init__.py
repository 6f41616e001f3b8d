"""Classic baselines: hand-crafted descriptors with classic classifiers and regressors."""
