"""Draws other clips of each clip's speaker, to whom the input of the clip is then compared (speaker normalisation)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy

import torch
from torch import Tensor

from multiemo.encoders.common.speaker_offset import SpeakerOffset
from multiemo.types import Batch, Modality

#: Numbers of other clips in training, drawn with equal probability, so that one model serves strangers and people it
#: knows well.
SIZES = (0, 1, 2, 4, 8, 16, 32, 64)


class SpeakerDraws:
    """Gives batches the offsets of their speakers, each estimated from other clips of the same speaker.

    Args:
        offsets: {modality: estimator of an encoder that normalises speakers}.
        means: {modality: {clip id: ``[M]``}}, ``Encoder.speaker_vector`` of the clips that can be drawn.
        speakers: {clip id: speaker} of these clips.
    """

    def __init__(
        self,
        offsets: Mapping[Modality, SpeakerOffset],
        means: Mapping[Modality, Mapping[str, Tensor]],
        speakers: Mapping[str, str],
    ) -> None:
        self.offsets = dict(offsets)
        self._places = {clip: place for place, clip in enumerate(speakers)}
        self._rows: dict[Modality, Tensor] = {}
        self._known: dict[Modality, Tensor] = {}
        for m, of in means.items():
            rows = torch.zeros(len(speakers), len(self.offsets[m].mean))
            known = torch.zeros(len(speakers))
            for clip, mean in of.items():
                rows[self._places[clip]], known[self._places[clip]] = mean, 1.0
            self._rows[m], self._known[m] = rows, known
        clips: dict[str, list[int]] = {}
        for clip, speaker in speakers.items():
            clips.setdefault(speaker, []).append(self._places[clip])
        self._clips = {speaker: torch.tensor(places) for speaker, places in clips.items()}

    def fit(self, m: Modality) -> int:
        """Fit the estimator of a modality to all clips, unless it is fitted.

        Returns:
            The number of speakers with several clips.
        """
        known = {speaker: places[self._known[m][places] > 0] for speaker, places in self._clips.items()}
        if not self.offsets[m].fitted:
            places = torch.cat([*known.values(), torch.zeros(0, dtype=torch.long)])
            self.offsets[m].fit(self._rows[m][places], [s for s, those in known.items() for _ in those])
        return sum(len(places) > 1 for places in known.values())

    def drawn(self, batch: Batch, sizes: Sequence[int] = SIZES, generator: torch.Generator | None = None) -> Batch:
        """The batch with ``speaker_offsets`` for the modalities whose inputs it has.

        Args:
            batch: batch of B clips on any device.
            sizes: numbers of other clips, of which one is drawn for each clip; all others of the speaker if there are
                fewer.
            generator: source of the draws; by default torch's own on the CPU.
        """
        who = zip(batch.ids, batch.speakers, strict=True)
        chosen = [self._others(id, speaker, sizes, generator) for id, speaker in who]
        found = {}
        for m, offset in self.offsets.items():
            if m not in batch.inputs or m in batch.embeddings:
                continue
            total = torch.stack([self._rows[m][places].sum(0) for places in chosen])
            count = torch.stack([self._known[m][places].sum() for places in chosen])
            device = batch.target.device
            if device.type == "cuda":  # from pinned memory, so that the host does not wait
                total, count = total.pin_memory(), count.pin_memory()
            found[m] = offset(total.to(device, non_blocking=True), count.to(device, non_blocking=True))
        changed = copy(batch)
        changed.speaker_offsets = found
        return changed

    def _others(self, id: str, speaker: str, sizes: Sequence[int], generator: torch.Generator | None) -> Tensor:
        """Places of other clips of a speaker, drawn without replacement."""
        size = sizes[int(torch.randint(len(sizes), (), generator=generator))]
        places = self._clips.get(speaker, torch.zeros(0, dtype=torch.long))
        order = places[torch.randperm(len(places), generator=generator)]
        return order[order != self._places.get(id, -1)][:size]
