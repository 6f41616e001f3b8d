"""Protect the people in media and transcripts: faces, voices, words and metadata."""
