"""Benchmarks of modalities: protocols, folds and seeds, baselines, robustness, cost, comparison and report."""
