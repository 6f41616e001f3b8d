"""What is said in a file, with times: captions, JSON, plain text, and the words that a span of time holds."""

from multiemo.transcripts.beside import side_transcripts
from multiemo.transcripts.fitting import SLOW, TAIL, fitted, left_over, unplaced
from multiemo.transcripts.language import language_of
from multiemo.transcripts.reading import read_transcript
from multiemo.transcripts.transcript import Cue, Transcript

__all__ = [
    "SLOW",
    "TAIL",
    "Cue",
    "Transcript",
    "fitted",
    "language_of",
    "left_over",
    "read_transcript",
    "side_transcripts",
    "unplaced",
]
