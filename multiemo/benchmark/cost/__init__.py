"""Cost: parameters, FLOPs, time and memory of each subset of modalities."""
