"""Protocols, baselines, robustness and cost: many runs measured and compared."""
