"""Every corrupted form of a clip, from one decoding: what a robustness curve feeds to the encoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from multiemo.arrays import Floats
from multiemo.benchmark.robustness.corrupt_face import Film
from multiemo.benchmark.robustness.corrupt_speech import Sound
from multiemo.benchmark.robustness.corrupt_text import Vocabulary, Wording
from multiemo.benchmark.robustness.corruptions import Corruption, randomness
from multiemo.errors import MediaError, MultiemoError
from multiemo.inputs.base import Input
from multiemo.inputs.dataset import ClipDataset
from multiemo.inputs.material import Audio, ManifestRow, Pictures, PreparedInput, Utterance
from multiemo.inputs.rows import gather_row
from multiemo.preprocess.voice.tensors import prepare_wave
from multiemo.runs.model_folder import Bundle
from multiemo.runs.sources import Source
from multiemo.types import Absent, Clip, Modality

#: Voices kept for the babble, spread over the people of train, and the longest part of each, seconds.
VOICES = 48
VOICE_SECONDS = 6.0
#: As :class:`~multiemo.types.SpeechSpec` trims.
_TRIM = 40.0

#: {corruption: the preprocessed form of each severity, ``None`` where the modality is gone}.
FormsOfClip = dict[str, list[NDArray[Any] | None]]


@dataclass(frozen=True, slots=True)
class Voice:
    """Somebody of train who talks in the background.

    Args:
        clip: id of the clip it was taken from.
        speaker: who it is; ``None`` where the manifest does not say.
        samples: ``[N]`` float32, without silence at its ends.
    """

    clip: str
    speaker: str | None
    samples: Floats


@dataclass(frozen=True, slots=True)
class Material:
    """What corruptions borrow from the train part.

    Args:
        voices: at the sample rate of the speech encoder.
        vocabulary: of the train texts.
    """

    voices: tuple[Voice, ...] = ()
    vocabulary: Vocabulary = field(default_factory=Vocabulary)

    def dressed(self, clip: Clip, entry: Input, raw: object) -> Sound | Film | Wording | None:
        """What an input takes of a clip, with what corruptions add to it; ``None`` where nothing can be changed.

        Args:
            clip: which.
            entry: the input.
            raw: what it takes, or why there is nothing.
        """
        if isinstance(raw, Audio):
            return Sound(raw.samples, raw.rate, self.others(clip))
        if isinstance(raw, Utterance):
            return Wording(raw.text, tuple(raw.earlier), self.vocabulary)
        made = entry.prepare(raw) if isinstance(raw, Pictures) else None
        if not isinstance(raw, Pictures) or not isinstance(made, PreparedInput) or made.positions is None:
            return None
        nearest = np.abs(raw.times[:, None] - made.positions.times[None]).argmin(axis=1)
        boxes = made.positions.boxes[nearest]
        return Film(raw.frames, raw.times, boxes, cropped=raw.cropped, still=raw.still)

    def others(self, clip: Clip) -> tuple[Floats, ...]:
        """The voices that are neither of this clip nor of its speaker."""
        return tuple(
            v.samples for v in self.voices if v.clip != clip.id and (v.speaker is None or v.speaker != clip.speaker)
        )


def gather(bundle: Bundle, source: Source, corruptions: Sequence[Corruption], seed: int) -> Material:
    """Voices and words of the train part, as far as the corruptions need them.

    Args:
        bundle: says which sample rate its speech encoder hears.
        source: whose train part is read.
        corruptions: those that will be applied.
        seed: chooses the clips.

    Raises:
        MediaError: a train clip cannot be read, and the config does not allow to skip it.
    """
    needed = {c.needs for c in corruptions}
    vocabulary = Vocabulary()
    if "words" in needed:
        vocabulary = Vocabulary.of(c.text for c in source.part("train") if c.text)
    voices: list[Voice] = []
    if "voices" in needed:
        entry = bundle.inputs["speech"]
        clips = _spread([c for c in source.part("train") if c.audio or c.video], seed)
        for clip in clips:
            try:
                given = _taken(ManifestRow(clip, source.folder), "speech", entry)
            except MediaError:
                if not bundle.config.data.skip_bad:
                    raise
                continue
            if not isinstance(given, Audio):
                continue
            wave = prepare_wave(given.samples, given.rate, given.rate, VOICE_SECONDS, _TRIM)
            if isinstance(wave, Tensor):
                voices.append(Voice(clip.id, clip.speaker, wave.numpy()))
            if len(voices) == VOICES:
                break
    return Material(tuple(voices), vocabulary)


class Forms(Dataset[FormsOfClip | MultiemoError]):
    """Clips as all their corrupted forms; an error that a user can meet is handed over as a value.

    Args:
        clips: rows, in order.
        source: their manifest.
        bundle: whose inputs the forms are made for.
        corruptions: of the model's modalities, each with a function.
        material: of the train part.
        seed: of all chances.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        source: Source,
        bundle: Bundle,
        corruptions: Sequence[Corruption],
        material: Material,
        seed: int,
    ) -> None:
        self.corruptions = list(corruptions)
        self.material = material
        self.seed = seed
        modalities = {c.modality for c in corruptions}
        self.inputs = {m: entry for m, entry in bundle.inputs.items() if m in modalities}
        # Past the cache: what is made of a row here must not stand for the clip itself.
        self.rows = ClipDataset(clips, source.folder, self.inputs, bundle.space(), cache=None, dialogue=source.clips)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> FormsOfClip | MultiemoError:
        row = self.rows.row(index)
        try:
            forms: FormsOfClip = {}
            for m, entry in self.inputs.items():
                forms |= self._forms(row.clip, m, entry, _taken(row, m, entry))
        except MultiemoError as error:
            return error
        return forms

    def _forms(self, clip: Clip, m: Modality, entry: Input, raw: object) -> FormsOfClip:
        wanted = {c.name: (c.function, c.severities) for c in self.corruptions if c.modality == m}
        given = self.material.dressed(clip, entry, raw)
        if given is None:
            return {name: [None] * len(severities) for name, (_, severities) in wanted.items()}
        return {
            name: [
                _array(entry.prepare(change(given, severity, randomness(self.seed, clip.id, name))))
                for severity in severities
                if change is not None
            ]
            for name, (change, severities) in wanted.items()
        }


def _taken(row: ManifestRow, m: Modality, entry: Input) -> object:
    """What an input takes of a row, or :class:`Absent`.

    Raises:
        MultiemoError: it cannot be read; names the clip.
    """
    try:
        gathered = gather_row(row, {m: entry})
        if m in gathered.damaged:
            raise gathered.damaged[m]
        return gathered.absent[m] if m in gathered.absent else entry.take(gathered.materials[m])
    except MultiemoError as error:
        raise type(error)(f"clip {row.clip.id!r}: {error}") from None


def _array(made: PreparedInput | Absent) -> NDArray[Any] | None:
    """An array, since a tensor holds a file open between processes; ``None`` where the modality is gone."""
    return None if isinstance(made, Absent) else made.tensor.numpy()


def _spread(clips: Sequence[Clip], seed: int) -> list[Clip]:
    """The clips in a random order in which everybody has a turn before anybody has a second one."""
    turns: dict[str | None, int] = {}
    order: list[tuple[int, int, Clip]] = []
    shuffled = sorted(clips, key=lambda c: randomness(seed, c.id, "babble").random())
    for place, clip in enumerate(shuffled):
        turn = turns[clip.speaker] = turns.get(clip.speaker, -1) + 1
        order.append((turn, place, clip))
    return [clip for _, _, clip in sorted(order, key=lambda entry: entry[:2])]
