"""A model as a whole: the cues each label relies on, confusions with examples, and errors by group of clips."""
