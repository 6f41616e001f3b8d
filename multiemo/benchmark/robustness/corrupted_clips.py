"""All corrupted forms of a clip, made from one decoding: the input of the encoders in a robustness curve."""

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

#: Number of voices for the babble, spread over the speakers of train, and the longest part of each, seconds.
VOICES = 48
VOICE_SECONDS = 6.0
#: Level below the peak at which silence is trimmed, dB; the default of :class:`~multiemo.types.SpeechSpec`.
_TRIM = 40.0

#: {corruption: the preprocessed form at each severity, ``None`` if nothing is left of the modality}.
FormsOfClip = dict[str, list[NDArray[Any] | None]]


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice of the train part, for the babble.

    Args:
        clip: id of its clip.
        speaker: its speaker; ``None`` if the manifest does not name one.
        samples: ``[N]`` float32, without silence at the ends.
    """

    clip: str
    speaker: str | None
    samples: Floats


@dataclass(frozen=True, slots=True)
class Material:
    """Material of the train part from which corruptions are made.

    Args:
        voices: voices at the sample rate of the speech encoder.
        vocabulary: words of the train texts.
    """

    voices: tuple[Voice, ...] = ()
    vocabulary: Vocabulary = field(default_factory=Vocabulary)

    def corruptible(self, clip: Clip, entry: Input, raw: object) -> Sound | Film | Wording | None:
        """The raw form of a clip, with the material that corruptions need.

        Args:
            clip: the clip.
            entry: the input that reads it.
            raw: the raw form that the input takes, or the reason for its absence.

        Returns:
            The form for corruptions; ``None`` if there is nothing to corrupt.
        """
        if isinstance(raw, Audio):
            return Sound(raw.samples, raw.rate, self.other_voices(clip))
        if isinstance(raw, Utterance):
            return Wording(raw.text, tuple(raw.earlier), self.vocabulary, language=raw.language)
        made = entry.prepare(raw) if isinstance(raw, Pictures) else None
        if not isinstance(raw, Pictures) or not isinstance(made, PreparedInput) or made.positions is None:
            return None
        nearest = np.abs(raw.times[:, None] - made.positions.times[None]).argmin(axis=1)
        boxes = made.positions.boxes[nearest]
        return Film(raw.frames, raw.times, boxes, cropped=raw.cropped, still=raw.still)

    def other_voices(self, clip: Clip) -> tuple[Floats, ...]:
        """The voices of other clips and other speakers than those of a clip."""
        return tuple(
            v.samples for v in self.voices if v.clip != clip.id and (v.speaker is None or v.speaker != clip.speaker)
        )


def gather(bundle: Bundle, source: Source, corruptions: Sequence[Corruption], seed: int) -> Material:
    """Read voices and words of the train part, as far as the corruptions need them.

    Args:
        bundle: gives the sample rate of the speech encoder.
        source: manifest and split.
        corruptions: the corruptions that will be applied.
        seed: seed of the choice of clips.

    Returns:
        The material.

    Raises:
        MediaError: a train clip cannot be read, and the config does not allow skipping it.
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
                raw = _raw_form(ManifestRow(clip, source.folder), "speech", entry)
            except MediaError:
                if not bundle.config.data.skip_bad:
                    raise
                continue
            if not isinstance(raw, Audio):
                continue
            wave = prepare_wave(raw.samples, raw.rate, raw.rate, VOICE_SECONDS, _TRIM)
            if isinstance(wave, Tensor):
                voices.append(Voice(clip.id, clip.speaker, wave.numpy()))
            if len(voices) == VOICES:
                break
    return Material(tuple(voices), vocabulary)


class Forms(Dataset[FormsOfClip | MultiemoError]):
    """A data set of all corrupted forms of clips; errors that a user can cause are returned as values.

    Args:
        clips: the rows, in order.
        source: their manifest.
        bundle: the model, whose inputs make the forms.
        corruptions: corruptions of the model's modalities, each with a function.
        material: material of the train part.
        seed: seed of all randomness.
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
        # No cache: a corrupted form must not be stored as the clip itself.
        self.rows = ClipDataset(clips, source.folder, self.inputs, bundle.space(), cache=None, dialogue=source.clips)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> FormsOfClip | MultiemoError:
        row = self.rows.row(index)
        try:
            forms: FormsOfClip = {}
            for m, entry in self.inputs.items():
                forms |= self._forms(row.clip, m, entry, _raw_form(row, m, entry))
        except MultiemoError as error:
            return error
        return forms

    def _forms(self, clip: Clip, m: Modality, entry: Input, raw: object) -> FormsOfClip:
        wanted = {c.name: (c.function, c.severities) for c in self.corruptions if c.modality == m}
        clean = self.material.corruptible(clip, entry, raw)
        if clean is None:
            return {name: [None] * len(severities) for name, (_, severities) in wanted.items()}
        return {
            name: [
                _array(entry.prepare(change(clean, severity, randomness(self.seed, clip.id, name))))
                for severity in severities
                if change is not None
            ]
            for name, (change, severities) in wanted.items()
        }


def _raw_form(row: ManifestRow, m: Modality, entry: Input) -> object:
    """The raw form that an input takes of a row, or :class:`Absent`.

    Raises:
        MultiemoError: the row cannot be read; the message names the clip.
    """
    try:
        gathered = gather_row(row, {m: entry})
        if m in gathered.damaged:
            raise gathered.damaged[m]
        return gathered.absent[m] if m in gathered.absent else entry.take(gathered.materials[m])
    except MultiemoError as error:
        raise type(error)(f"clip {row.clip.id!r}: {error}") from None


def _array(made: PreparedInput | Absent) -> NDArray[Any] | None:
    """The preprocessed form as an array; ``None`` if the modality is absent.

    An array, because a tensor that is passed between processes keeps a file open.
    """
    return None if isinstance(made, Absent) else made.tensor.numpy()


def _spread(clips: Sequence[Clip], seed: int) -> list[Clip]:
    """The clips in a random order, with one clip of every speaker before the second clip of any."""
    turns: dict[str | None, int] = {}
    order: list[tuple[int, int, Clip]] = []
    shuffled = sorted(clips, key=lambda c: randomness(seed, c.id, "babble").random())
    for place, clip in enumerate(shuffled):
        turn = turns[clip.speaker] = turns.get(clip.speaker, -1) + 1
        order.append((turn, place, clip))
    return [clip for _, _, clip in sorted(order, key=lambda entry: entry[:2])]
