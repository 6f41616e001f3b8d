"""Write a transcript with masked words."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from multiemo.anonymize.words.masking import Masker
from multiemo.errors import MediaError
from multiemo.files import write_atomically
from multiemo.transcripts import Transcript

#: Ending of a transcript with times, and of one without.
TIMED, UNTIMED = ".json", ".txt"


def write_transcript(transcript: Transcript, out: Path, masker: Masker) -> dict[str, int]:
    """Write a transcript with masked words and numbered speakers.

    Args:
        transcript: the original.
        out: ``.json`` for a list of segments with their times, or ``.txt``.
        masker: masks the words.

    Returns:
        {kind of word: number masked}.

    Raises:
        MediaError: the file cannot be written.
    """
    before = Counter(masker.counts)
    masked = masker.mask_transcript(transcript)
    write_atomically(out, masked.text + "\n" if out.suffix == UNTIMED else _json(masked), error=MediaError)
    return dict(masker.counts - before)


def _json(transcript: Transcript) -> str:
    entries: list[dict[str, Any]] = []
    for cue in transcript.cues:
        entry: dict[str, Any] = {"start": cue.start, "end": cue.end}
        # words follow each other without a space where the first has none before it
        entry["text"] = cue.text if cue.joined else f" {cue.text}"
        entries.append(entry if cue.speaker is None else entry | {"speaker": cue.speaker})
    values: dict[str, Any] = {} if transcript.language is None else {"language": transcript.language}
    return json.dumps(values | {"segments": entries}, indent=1, ensure_ascii=False) + "\n"
