"""Predictions of other systems, measured on the test clips of a run."""
