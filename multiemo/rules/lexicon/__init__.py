"""Emotion lexicons: our own lists, VADER's, and a user's copy of an academic one."""
