"""Faces in pictures and films: found in every frame, and covered."""
