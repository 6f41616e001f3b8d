"""From a stream of sound, pictures and words to segments."""
