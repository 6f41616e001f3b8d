"""Cuts a stream of sound, pictures and words into segments."""
