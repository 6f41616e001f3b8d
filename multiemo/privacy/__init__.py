"""Measures privacy: who is recognised before and after a protection, what it costs, and what a model remembers."""
