"""What is said in a file, with times: SRT, WebVTT, JSON, plain text, and the words that a span of time holds."""

from multiemo.data.transcripts.language import language_of
from multiemo.data.transcripts.reading import read_transcript, side_file
from multiemo.data.transcripts.transcript import Cue, Transcript

__all__ = ["Cue", "Transcript", "language_of", "read_transcript", "side_file"]
