"""Protections by name, and protected copies of the clips of a manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, cast

import numpy as np

from multiemo.anonymize.files.anonymizer import Anonymizer
from multiemo.anonymize.files.kinds import ending_of, kind_of
from multiemo.anonymize.files.sound import write_sound
from multiemo.anonymize.settings import FaceMethod, Settings, WordMethod
from multiemo.anonymize.voice.protection import VoiceProtection
from multiemo.anonymize.words.masking import Masker
from multiemo.arrays import Array
from multiemo.data.features.reading import read_features
from multiemo.data.manifest.reading import media_path
from multiemo.data.splits.seen import name_of
from multiemo.errors import ConfigError
from multiemo.media.reading import probe
from multiemo.progress import Progress
from multiemo.types import MODALITIES, Clip, FeatureRef, Modality

#: Link to the folder of the originals, and file of protected features, in the folder of the protected copies.
_ORIGINALS, _FEATURES = "originals", "features.safetensors"
_FACES, _WORDS = ("pixelate", "blur", "box"), ("mask", "presidio")
_CHOICES = (
    "none, 'mcadams A' (0.5 to 1.5), 'shift S' (semitones), pixelate, blur, box, mask, presidio, "
    "'centre [MODALITY]' or 'noise S [MODALITY]' (precomputed features)"
)


@dataclass(frozen=True, slots=True)
class Protection:
    """A protection of one modality.

    Args:
        name: as the user gives it.
        method: ``none``, ``voice``, ``faces``, ``words``, ``centre`` or ``noise``.
        modality: what it protects; ``None`` for ``none``.
        voice: how voices are changed.
        faces: how faces are covered.
        words: how words are masked.
        noise: standard deviation of added noise, in standard deviations of each column.
    """

    name: str
    method: Literal["none", "voice", "faces", "words", "centre", "noise"]
    modality: Modality | None = None
    voice: VoiceProtection = field(default_factory=partial(VoiceProtection, "keep"))
    faces: FaceMethod = "keep"
    words: WordMethod = "keep"
    noise: float = 0.0

    @classmethod
    def parse(cls, name: str) -> Protection:
        """The protection of a name.

        Raises:
            ConfigError: the name is not known, or a value is outside its range.

        Example:
            >>> Protection.parse("mcadams 0.7").voice.alpha, Protection.parse("centre").modality
            (0.7, 'face')
        """
        method, *values = name.split() or [""]
        try:
            if name.strip() == "none":
                return cls("none", "none")
            if method in ("mcadams", "shift") and len(values) == 1:
                number = {"mcadams" if method == "mcadams" else "semitones": float(values[0])}
                checked = Settings(voice=method, **number)  # type: ignore[arg-type]
                return cls(name, "voice", "speech", VoiceProtection(checked.voice, checked.mcadams, checked.semitones))
            if method in _FACES and not values:
                return cls(name, "faces", "face", faces=cast(FaceMethod, method))
            if method in _WORDS and not values:
                return cls(name, "words", "text", words=cast(WordMethod, method))
            if method == "centre" and len(values) < 2:
                return cls(name, "centre", _modality(values))
            if method == "noise" and 0 < len(values) < 3 and float(values[0]) > 0:
                return cls(name, "noise", _modality(values[1:]), noise=float(values[0]))
        except ValueError:
            pass
        raise ConfigError(f"--protection: {name!r} is not known; choices: {_CHOICES}")

    def protects(self, modality: Modality) -> bool:
        """Whether clips change in a modality; ``none`` counts for all, as the figures before protection."""
        return self.modality in (None, modality)

    def apply(self, clips: Sequence[Clip], folder: Path, out: Path, progress: Progress) -> list[Clip]:
        """Write protected copies and return the rows that name them, relative to ``out``.

        Rows keep everything else; what is not protected is reached through a link to the original folder. Where voices
        are protected, ``audio`` is the protected sound, also of a film.

        Args:
            clips: rows of a manifest.
            folder: its folder.
            out: empty folder for the copies.
            progress: receives the number of finished files.

        Raises:
            ConfigError: no row has what is to be protected.
            MediaError: a file cannot be read or written.
        """
        (out / _ORIGINALS).symlink_to(folder.resolve(), target_is_directory=True)
        rows = [_linked(clip, folder) for clip in clips]
        if self.method == "none":
            return rows
        if self.method in ("centre", "noise"):
            return self._features(rows, out)
        if self.method == "words":
            masker = Masker(self.words)
            return [replace(c, text=None if c.text is None else masker.mask(c.text)) for c in rows]
        return self._voices(rows, out, progress) if self.method == "voice" else self._faces(rows, out, progress)

    def _voices(self, rows: Sequence[Clip], out: Path, progress: Progress) -> list[Clip]:
        def write(source: Path, target: Path) -> Path:
            write_sound(source, target.with_suffix(".flac"), self.voice)
            return target.with_suffix(".flac")

        paths = dict.fromkeys(path for c in rows if (path := c.audio or c.video) is not None)
        heard = {path for path in paths if probe(out / path).has_audio}
        names = {c.id: path for c in rows if (path := c.audio or c.video) in heard and path is not None}
        self._require(bool(names), "audio or video")
        made = _written(names.values(), out, write, progress)
        return [replace(c, audio=made[names[c.id]]) if c.id in names else c for c in rows]

    def _faces(self, rows: Sequence[Clip], out: Path, progress: Progress) -> list[Clip]:
        work = Anonymizer(Settings(faces=self.faces, voice="keep", words="keep"), Progress())
        pictures = {path: c.cropped for c in rows for path in (c.image, c.video) if path is not None}
        self._require(bool(pictures), "video or image")

        def write(source: Path, target: Path) -> Path:
            kind = kind_of(source)
            target = target.with_suffix(ending_of(source, kind))
            cropped = pictures[source.relative_to(out).as_posix()]
            work.write(source, target, kind, names=(source.name, target.name), cropped=cropped)
            return target

        made = _written(pictures, out, write, progress)
        return [replace(c, image=c.image and made[c.image], video=c.video and made[c.video]) for c in rows]

    def _features(self, rows: Sequence[Clip], out: Path) -> list[Clip]:
        """Rows with centred or noisy features of the protected modality."""
        from safetensors.numpy import save_file

        m = cast(Modality, self.modality)
        self._require(any(m in c.features for c in rows), f"features.{m}")
        values = {}
        for c in rows:
            if m in c.features:
                found, _ = read_features(out / c.features[m].path, c.features[m].key, c.start, c.end)
                if len(found):
                    values[c.id] = found.astype(np.float64)
        if self.method == "centre":
            made = centred(values, {c.id: name_of(c, "speaker") or c.id for c in rows})
        else:
            rng = np.random.default_rng(0)
            spread = np.concatenate(list(values.values())).std(axis=0) * self.noise
            made = {name: array + rng.normal(size=array.shape) * spread for name, array in values.items()}
        place = {name: FeatureRef(_FEATURES, str(number)) for number, name in enumerate(made)}
        save_file({str(place[i].key): array.astype(np.float32) for i, array in made.items()}, out / _FEATURES)
        return [replace(c, features={**c.features, m: place[c.id]}) if c.id in place else c for c in rows]

    def _require(self, known: bool, what: str) -> None:
        if not known:
            raise ConfigError(f"--protection: {self.name!r}: no row of the manifest has {what}; leave it out")


def centred(values: Mapping[str, Array], person: Mapping[str, str]) -> dict[str, Array]:
    """Features shifted so that the mean of every person is the mean of all people.

    Args:
        values: {clip: ``[T, D]``}.
        person: {clip: person}.

    Example:
        >>> made = centred({"a": np.array([[1.0]]), "b": np.array([[3.0]]), "c": np.array([[8.0]])},
        ...                {"a": "p", "b": "p", "c": "q"})
        >>> {name: array.item() for name, array in made.items()}
        {'a': 4.0, 'b': 6.0, 'c': 5.0}
    """
    own: dict[str, list[Array]] = {}
    for name, array in values.items():
        own.setdefault(person[name], []).append(array.mean(axis=0))
    means = {name: np.mean(arrays, axis=0) for name, arrays in own.items()}
    middle = np.mean(list(means.values()), axis=0)
    return {name: array - means[person[name]] + middle for name, array in values.items()}


def _modality(values: Sequence[str]) -> Modality:
    name = values[0] if values else "face"
    if name not in MODALITIES:
        raise ValueError(name)
    return name


def _linked(clip: Clip, folder: Path) -> Clip:
    """A row whose paths go through the link to the original folder."""

    def link(path: str | None) -> str | None:
        return None if path is None else f"{_ORIGINALS}/{media_path(path, folder).relative_to(folder).as_posix()}"

    features = {m: FeatureRef(str(link(ref.path)), ref.key) for m, ref in clip.features.items()}
    return replace(clip, audio=link(clip.audio), video=link(clip.video), image=link(clip.image), features=features)


def _written(
    sources: Iterable[str], out: Path, write: Callable[[Path, Path], Path], progress: Progress
) -> dict[str, str]:
    """Write the protected copy of each file once: {path of the original: path of the copy}.

    Args:
        sources: paths of the originals relative to ``out``, with repetitions.
        out: folder of the copies.
        write: writes one copy, from the original and a path without ending, and returns its path.
        progress: receives the number of finished files.
    """
    distinct = list(dict.fromkeys(sources))
    made = {}
    for number, source in enumerate(distinct):
        made[source] = write(out / source, out / f"{number:06d}").name
        progress.update(number + 1, len(distinct))
    return made
