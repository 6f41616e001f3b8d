"""An item -> its segments, each with the tensors that the model's encoders want."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from multiemo.data.dataset import Preprocessor
from multiemo.data.features import read_features
from multiemo.data.manifest import media_path
from multiemo.data.media import Media, is_image, iter_media, probe, read_media
from multiemo.errors import MediaError
from multiemo.predict.items import Item
from multiemo.types import Absent, Clip, Modality


@dataclass(slots=True)
class Segment:
    """A span with what was found in it."""

    start: float
    end: float
    inputs: dict[Modality, torch.Tensor] = field(default_factory=dict)
    absent: dict[Modality, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Reader:
    """Reads media files and manifest rows.

    Args:
        preprocessors: {modality: preprocessor} of the model.
        window: seconds of a segment of a long file; a file of up to one and a half of it is one segment.
    """

    def __init__(self, preprocessors: Mapping[Modality, Preprocessor], window: float) -> None:
        self.preprocessors = preprocessors
        self.window = window

    def segments(self, item: Item) -> Iterator[Segment]:
        """The segments of an item, one after the other; a manifest row is one.

        Raises:
            MediaError: the item cannot be read.
        """
        if item.clip is not None and item.folder is not None:
            yield self._row(item.clip, item.folder, item.context)
            return
        if item.path is None:
            yield self._segment(Media(), item.text, "no audio was given", "no video or image was given")
            return
        if is_image(item.path):
            media = self._read(item.path, None, None)
            yield self._segment(media, item.text, "the input is a still image", "")
            return
        info = probe(item.path, "any")
        if info.duration is not None and info.duration <= 1.5 * self.window:
            yield self._segment(self._read(item.path, None, None), item.text)
            return
        for media in iter_media(item.path, window=self.window, **self._wanted()):
            yield self._segment(media, item.text)

    def _wanted(self) -> dict[str, Any]:
        specs = {m: p.spec for m, p in self.preprocessors.items()}
        speech, face = specs.get("speech"), specs.get("face")
        wanted: dict[str, Any] = {}
        if speech is not None and speech.kind in ("speech", "waveform"):
            wanted["rate"] = speech.sample_rate
        if face is not None and face.kind == "face":
            wanted |= {"fps": face.fps, "max_frames": face.frames}
        if not wanted:
            raise MediaError(f"this model reads {', '.join(specs)} only, not media files; give it a text or a manifest")
        return wanted

    def _read(self, path: Path, start: float | None, end: float | None) -> Media:
        return read_media(path, start=start, end=end, **self._wanted())

    def _segment(
        self,
        media: Media,
        text: str | None,
        no_audio: str = "",
        no_video: str = "",
        context: Sequence[tuple[bool, str]] = (),
    ) -> Segment:
        segment = Segment(round(media.offset, 3), round(media.offset + media.duration, 3), notes=list(media.problems))
        for m, preprocessor in self.preprocessors.items():
            kind = preprocessor.spec.kind
            got: Any
            if kind == "text":
                got = preprocessor(text, context) if text is not None else Absent("no transcript was given")
            elif kind == "features":
                got = Absent(f"the model reads precomputed features.{m}; give a manifest row that has them")
            elif kind in ("speech", "waveform"):
                silent = Absent(media.absent.get("audio") or no_audio or "the file has no audio track")
                got = silent if media.audio is None else preprocessor(media.audio, media.rate)
            else:
                blind = Absent(media.absent.get("video") or no_video or "the file has no video track")
                got = blind if media.frames is None else preprocessor(media.frames, media.times)
            self._file(segment, m, got)
        return segment

    def _row(self, clip: Clip, folder: Path, context: Sequence[tuple[bool, str]]) -> Segment:
        """A manifest row is one segment, fed as in training."""
        merged = Segment(clip.start or 0.0, clip.end or clip.start or 0.0)
        for m, preprocessor in self.preprocessors.items():
            kind = preprocessor.spec.kind
            reference = clip.features.get(m)
            if kind == "features" and reference is not None:
                values, _ = read_features(media_path(reference.path, folder), reference.key, clip.start, clip.end)
                self._file(merged, m, preprocessor(values))
        sources: dict[str, set[Modality]] = {}
        voice, picture = clip.audio or clip.video, clip.video or clip.image
        for m, source in (("speech", voice), ("face", picture)):
            if m in self.preprocessors and source and m not in merged.inputs:
                sources.setdefault(source, set()).add(m)  # type: ignore[arg-type]
        for source, wanted in sources.items():
            part = self._segment(self._read(media_path(source, folder), clip.start, clip.end), None)
            merged.end = max(merged.end, part.end)
            merged.notes += part.notes
            merged.inputs.update({m: x for m, x in part.inputs.items() if m in wanted})
            merged.absent.update({m: r for m, r in part.absent.items() if m in wanted})
        rest = self._segment(Media(), clip.text, "the row has no audio", "the row has neither video nor image", context)
        merged.inputs = {**rest.inputs, **merged.inputs}
        merged.absent = {m: r for m, r in {**rest.absent, **merged.absent}.items() if m not in merged.inputs}
        return merged

    @staticmethod
    def _file(segment: Segment, modality: Modality, got: Any) -> None:
        if isinstance(got, Absent):
            segment.absent[modality] = got.reason
        elif isinstance(got, torch.Tensor):
            segment.inputs[modality] = got
        else:
            segment.inputs[modality] = got.crops
            segment.notes += got.notes
