"""Every corrupted form of a clip, from one decoding: what a robustness curve feeds to the encoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from multiemo.arrays import Floats
from multiemo.benchmark.corrupt_face import Film
from multiemo.benchmark.corrupt_speech import Sound
from multiemo.benchmark.corrupt_text import Vocabulary, Wording
from multiemo.benchmark.corruptions import Corruption, randomness
from multiemo.build.bundle import Bundle
from multiemo.build.data import Source
from multiemo.data.dataset import ClipDataset, LabelSpace, Preprocessor
from multiemo.errors import MediaError, MultiemoError
from multiemo.preprocess.speech import prepare_wave
from multiemo.types import Absent, Clip, InputSpec, Modality

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
        spec = bundle.preprocessors["speech"].spec
        clips = _spread([c for c in source.part("train") if c.audio or c.video], seed)
        recorder = _Recorder(spec)
        decoded = _decoding(clips, source, {"speech": recorder}, bundle.space())
        for number, clip in enumerate(clips):
            try:
                decoded[number]
            except MediaError:
                if not bundle.config.data.skip_bad:
                    raise
            arrays = recorder.take()
            if arrays is None:
                continue
            audio, rate = arrays
            wave = prepare_wave(audio, rate, rate, VOICE_SECONDS, _TRIM)
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
        bundle: whose preprocessors the forms are made for.
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
        self.preprocessors = {m: p for m, p in bundle.preprocessors.items() if m in modalities}
        self.recorders = {m: _Recorder(p.spec) for m, p in self.preprocessors.items()}
        self.decoded = _decoding(clips, source, self.recorders, bundle.space())

    def __len__(self) -> int:
        return len(self.decoded)

    def __getitem__(self, index: int) -> FormsOfClip | MultiemoError:
        try:
            self.decoded[index]
            return {
                name: forms
                for m, recorder in self.recorders.items()
                for name, forms in self._forms(self.decoded.clips[index], m, recorder.take()).items()
            }
        except MultiemoError as error:
            return error

    def _forms(self, clip: Clip, modality: Modality, arrays: tuple[Any, ...] | None) -> FormsOfClip:
        wanted = [c for c in self.corruptions if c.modality == modality]
        given = None if arrays is None else self._given(clip, modality, arrays)
        if given is None:
            return {c.name: [None] * len(c.severities) for c in wanted}
        return {
            c.name: [
                self._prepared(clip, modality, c.function(given, severity, randomness(self.seed, clip.id, c.name)))
                for severity in c.severities
                if c.function is not None
            ]
            for c in wanted
        }

    def _given(self, clip: Clip, modality: Modality, arrays: tuple[Any, ...]) -> Sound | Film | Wording | None:
        """What a corruption is given of one modality; ``None`` where there is no face to begin with."""
        if modality == "speech":
            audio, rate = arrays
            return Sound(audio, rate, self.material.others(clip))
        if modality == "text":
            text, earlier = arrays
            return Wording(text, tuple(earlier), self.material.vocabulary)
        frames, times, _ = arrays
        track = self.preprocessors["face"](frames, times, clip.cropped)
        if isinstance(track, Absent):
            return None
        nearest = np.abs(np.asarray(times)[:, None] - track.times[None]).argmin(axis=1)
        return Film(frames, np.asarray(times), track.boxes[nearest])

    def _prepared(self, clip: Clip, modality: Modality, given: Sound | Film | Wording) -> NDArray[Any] | None:
        """A corrupted clip as the encoder wants it. Arrays, since a tensor holds a file open between processes."""
        prepare = self.preprocessors[modality]
        if isinstance(given, Sound):
            made = prepare(given.samples, given.rate)
        elif isinstance(given, Wording):
            made = prepare(given.text, given.earlier)
        else:
            made = prepare(given.frames, given.times, clip.cropped)
        if isinstance(made, Absent):
            return None
        tensor: Tensor = made.crops if isinstance(given, Film) else made
        return tensor.numpy()


class _Recorder:
    """Stands in for a preprocessor and keeps the arrays that were decoded for it."""

    def __init__(self, spec: InputSpec) -> None:
        self.spec = spec
        self._arrays: tuple[Any, ...] | None = None

    def __call__(self, *arrays: Any) -> Absent:
        self._arrays = arrays
        return Absent("kept for its corrupted forms")

    def take(self) -> tuple[Any, ...] | None:
        """The arrays of the clip that was just decoded, once; ``None`` where it has nothing to decode."""
        arrays, self._arrays = self._arrays, None
        return arrays


def _decoding(
    clips: Sequence[Clip], source: Source, preprocessors: Mapping[Modality, Preprocessor], space: LabelSpace
) -> ClipDataset:
    """The rows as they are decoded, past the cache: what is made of them must not stand for the clip itself."""
    return ClipDataset(clips, source.folder, preprocessors, space, cache=None, dialogue=source.clips)


def _spread(clips: Sequence[Clip], seed: int) -> list[Clip]:
    """The clips in a random order in which everybody has a turn before anybody has a second one."""
    turns: dict[str | None, int] = {}
    order: list[tuple[int, int, Clip]] = []
    shuffled = sorted(clips, key=lambda c: randomness(seed, c.id, "babble").random())
    for place, clip in enumerate(shuffled):
        turn = turns[clip.speaker] = turns.get(clip.speaker, -1) + 1
        order.append((turn, place, clip))
    return [clip for _, _, clip in sorted(order, key=lambda entry: entry[:2])]
