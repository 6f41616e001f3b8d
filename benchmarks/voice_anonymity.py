"""What the voice protections of ``multiemo anonymize`` change: pitch, formants, words, and who is recognised.

    python benchmarks/voice_anonymity.py MANIFEST --speakers 01 02 03 [--asr openai/whisper-base]

For each protection, on the same clips of each speaker:

- F0 and F1 to F3: the median over clips of the median over voiced frames, by Praat (``praat-parselmouth``).
- WER: of a Whisper model against the text of the rows, with ``--asr``; case and punctuation do not count.
- EER: of the speaker encoder of ``resemblyzer`` on all pairs of clips, if it is installed. For ``eer_original`` one
  clip of a pair is original and one protected: the attacker does not know of the protection. For ``eer_protected`` both
  are protected: the attacker protects the enrolled voices in the same way. 0.5 is chance.
- cosine: mean similarity of a clip before and after, by the same encoder.

It prints a table, then one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from multiemo.anonymize.voice.protection import VoiceProtection
from multiemo.arrays import Array, Floats
from multiemo.data.manifest.reading import media_path, read_manifest
from multiemo.media.reading import read_media
from multiemo.privacy.embeddings import SpeakerEncoder
from multiemo.privacy.words import normalised, word_errors
from multiemo.types import Clip

RATE = 16000
PROTECTIONS = {
    "none": VoiceProtection("keep"),
    **{f"mcadams {alpha:g}": VoiceProtection("mcadams", alpha) for alpha in (1.0, 0.9, 0.8, 0.7, 0.6)},
    **{f"shift {semitones:+g}": VoiceProtection("shift", semitones=semitones) for semitones in (-3.0, 4.0)},
}


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--speakers", nargs="+", required=True)
    parser.add_argument("--clips", type=int, default=8, help="clips per speaker")
    parser.add_argument("--asr", help="Whisper model, by name or folder")
    parser.add_argument("--asr-clips", type=int, default=20, help="clips that are transcribed")
    parser.add_argument("--protections", nargs="+", choices=PROTECTIONS, default=list(PROTECTIONS), metavar="NAME")
    given = parser.parse_args(arguments)
    clips = chosen(read_manifest(given.manifest), given.speakers, given.clips)
    sounds = [sound_of(clip, given.manifest.parent) for clip in clips]
    speakers = [str(clip.speaker) for clip in clips]
    original = embedded(sounds)
    rows: dict[str, dict[str, float]] = {}
    for name in given.protections:
        made = [PROTECTIONS[name].protect(sound, RATE) for sound in sounds]
        rows[name] = voice_figures(made)
        if given.asr is not None:
            rows[name]["wer"] = word_error_rate(clips, made, given.asr, given.asr_clips)
        known = embedded(made)
        if original is not None and known is not None:
            rows[name]["eer_original"] = equal_error_rate(speakers, original, known)
            rows[name]["eer_protected"] = equal_error_rate(speakers, known, known)
            rows[name]["cosine"] = float((original * known).sum(1).mean())
        print(name, rows[name], file=sys.stderr, flush=True)
    keys = list(rows[given.protections[0]])
    print("| protection | " + " | ".join(keys) + " |")
    print("|---" * (len(keys) + 1) + "|")
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(f"{row[key]:.3g}" for key in keys) + " |")
    print(json.dumps({"clips": len(clips), "speakers": len(given.speakers), "protections": rows}))


def chosen(clips: Sequence[Clip], speakers: Sequence[str], most: int) -> list[Clip]:
    """Evenly spread clips with sound of each speaker, in the order of the manifest."""
    made: list[Clip] = []
    for speaker in speakers:
        own = [clip for clip in clips if clip.speaker == speaker and clip.audio is not None]
        made += [own[int((i + 0.5) * len(own) / most)] for i in range(most)]
    return made


def sound_of(clip: Clip, folder: Path) -> Floats:
    """The samples of a clip at :data:`RATE`."""
    media = read_media(media_path(str(clip.audio), folder), start=clip.start, end=clip.end, rate=RATE, where=clip.id)
    return np.zeros(0, np.float32) if media.audio is None else media.audio


def voice_figures(sounds: Sequence[Floats]) -> dict[str, float]:
    """Medians over sounds of F0 to F3, Hz."""
    figures = np.nanmedian([pitch_and_formants(sound) for sound in sounds], axis=0)
    return dict(zip(("f0", "f1", "f2", "f3"), figures.tolist(), strict=True))


def word_error_rate(clips: Sequence[Clip], sounds: Sequence[Floats], asr: str, most: int) -> float:
    """Word error rate of a Whisper model on evenly spread clips, against the texts of the rows."""
    from multiemo.predict.asr import Transcriber

    recogniser = Transcriber(asr, language="en", offline=True)
    errors = words = 0
    for number in np.linspace(0, len(clips) - 1, min(most, len(clips))).astype(int):
        text = str(clips[number].text)
        errors += word_errors(text, recogniser.transcribe(sounds[number]).text)
        words += len(normalised(text))
    return errors / words


def pitch_and_formants(samples: Floats) -> Array:
    """Median F0, F1, F2 and F3 of the voiced frames, Hz, by Praat."""
    import parselmouth

    sound = parselmouth.Sound(samples.astype(np.float64), RATE)
    pitch = sound.to_pitch(0.01, 75.0, 600.0)
    formants = sound.to_formant_burg(0.01, 5.0, 5500.0)
    values = pitch.selected_array["frequency"]
    voiced = [time for time, value in zip(pitch.xs(), values, strict=True) if value > 0]
    found = [[formants.get_value_at_time(k, time) for time in voiced] for k in (1, 2, 3)]
    return np.array([np.median(values[values > 0]), *(np.nanmedian(row) for row in found)])


def embedded(sounds: Sequence[Floats]) -> Array | None:
    """Speaker embeddings ``[K, 256]`` of length 1 by resemblyzer; ``None`` if it is not installed."""
    if not SpeakerEncoder.installed():
        return None
    encoder = SpeakerEncoder()
    found = [encoder.embed_sound(sound) for sound in sounds]
    return np.stack([np.zeros(256) if embedding is None else embedding for embedding in found])


def equal_error_rate(speakers: Sequence[str], enrolled: Array, trial: Array) -> float:
    """Equal error rate of the cosine over all pairs of different clips: 0 is perfect recognition, 0.5 is chance.

    Args:
        speakers: of each clip.
        enrolled: ``[K, D]`` embeddings of length 1.
        trial: ``[K, D]`` embeddings of the same clips, protected or not.
    """
    scores: dict[bool, list[float]] = defaultdict(list)
    for i, j in combinations(range(len(speakers)), 2):
        scores[speakers[i] == speakers[j]] += [float(enrolled[i] @ trial[j]), float(enrolled[j] @ trial[i])]
    same, different = np.sort(scores[True]), np.sort(scores[False])
    thresholds = np.concatenate([same, different])
    missed = np.searchsorted(same, thresholds, "left") / len(same)
    accepted = 1 - np.searchsorted(different, thresholds, "left") / len(different)
    best = np.abs(missed - accepted).argmin()
    return float((missed[best] + accepted[best]) / 2)


if __name__ == "__main__":
    main(sys.argv[1:])
