"""Fuzzing: random and damaged inputs of every kind that users give. ``python -m tests.fuzz --help``."""
