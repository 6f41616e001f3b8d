"""Timed transcripts: read captions, JSON and plain text, and select the words of a time span."""

from multiemo.transcripts.beside import side_transcripts
from multiemo.transcripts.fitting import CAPTION_TAIL, MIN_PACE, fit_to_media, why_not_placed, words_after_end
from multiemo.transcripts.language import language_of
from multiemo.transcripts.reading import read_transcript
from multiemo.transcripts.transcript import Cue, Transcript

__all__ = [
    "CAPTION_TAIL",
    "MIN_PACE",
    "Cue",
    "Transcript",
    "fit_to_media",
    "language_of",
    "read_transcript",
    "side_transcripts",
    "why_not_placed",
    "words_after_end",
]
