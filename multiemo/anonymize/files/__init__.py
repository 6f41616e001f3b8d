"""One file in, one protected file out: films, sounds, pictures and transcripts."""
