"""What words keep: the word error rate of a recogniser on protected voices."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from multiemo.data.manifest.reading import media_path
from multiemo.data.splits.seen import name_of
from multiemo.media.reading import read_media
from multiemo.metrics.intervals import bootstrap_weights, resampled_interval
from multiemo.predict.asr import Transcriber
from multiemo.progress import Progress
from multiemo.runs.folder.privacy_report import MeasuredShare, WordsKept
from multiemo.types import Clip

_RESAMPLES = 1000
#: A word: letters, digits and apostrophes; scripts that are written without spaces count by character.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+(?:'[^\W_]+)*")


def words_kept(
    recogniser: Transcriber, clips: Sequence[Clip], texts: Mapping[str, str], folder: Path, progress: Progress
) -> WordsKept | None:
    """Word error rate against the texts of the manifest; case and punctuation do not count.

    Args:
        recogniser: speech recogniser.
        clips: rows with sound.
        texts: {clip: what is said}.
        folder: folder of the rows.
        progress: receives the number of finished clips.

    Returns:
        The figures; ``None`` if no row has sound and words.
    """
    errors: dict[str, int] = {}
    words: dict[str, int] = {}
    done = 0
    for number, clip in enumerate(clips):
        source, text = clip.audio or clip.video, texts.get(clip.id)
        if source is not None and text is not None and normalised(text):
            where = media_path(source, folder)
            media = read_media(where, start=clip.start, end=clip.end, rate=Transcriber.RATE, where=clip.id)
            if media.audio is not None:
                person = name_of(clip, "speaker") or clip.id
                found = recogniser.transcribe(media.audio).text
                errors[person] = errors.get(person, 0) + word_errors(text, found)
                words[person] = words.get(person, 0) + len(normalised(text))
                done += 1
        progress.update(number + 1, len(clips))
    if not words:
        return None
    weights = bootstrap_weights(len(words), _RESAMPLES, 0)
    rates = (weights @ np.array(list(errors.values()))) / (weights @ np.array(list(words.values())))
    # Insertions can make the rate exceed one; the interval is of a share, so it ends there.
    low, high = resampled_interval(np.clip(rates, 0, 1), len(words))
    wer = MeasuredShare(value=float(rates[0]), interval=[low, high])
    return WordsKept(recogniser=recogniser.name, wer=wer, clips=done, words=sum(words.values()))


def normalised(text: str) -> list[str]:
    """Words in lower case without punctuation.

    Example:
        >>> normalised("Kids aren't HERE, ok?"), normalised("你好")
        (['kids', "aren't", 'here', 'ok'], ['你', '好'])
    """
    return _WORD.findall(text.lower().replace("\u2019", "'"))


def word_errors(reference: str, found: str) -> int:
    """Insertions, deletions and substitutions between the words of two texts."""
    a, b = normalised(reference), normalised(found)
    row = list(range(len(b) + 1))
    for i, word in enumerate(a, 1):
        row, above = [i], row
        for j, other in enumerate(b, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (word != other)))
    return row[-1]
