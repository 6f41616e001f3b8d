"""Cost of each subset of modalities: parameters, FLOPs, time and memory."""
