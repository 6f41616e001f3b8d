"""Views of a voice: bands of time, and cues.

Both divide the distance between an input and what replaces it into parts, each with a gate between 0 (removed) and 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from multiemo.explanation.evidence.base import PartView
from multiemo.explanation.records import EvidencePart
from multiemo.explanation.target import ClipTarget
from multiemo.preprocess.voice.cues import CUES, VoiceBaseline, VoiceCues, describe_cue
from multiemo.types import PROSODY_CHANNELS

#: Length of a band of time, seconds, and the largest number of bands.
BAND_SECONDS, MOST_BANDS = 0.3, 32
#: Steps of integrated gradients.
IG_STEPS = 16
#: dB -> natural logarithm of power.
DB_TO_LOG_POWER = 0.2302585
#: {id of a cue: (channels, what is removed of them)}. ``level``: the clip's mean becomes that of the corpus. ``range``:
#: the channel becomes its mean. ``all``: both.
_REMOVED: dict[str, tuple[tuple[str, ...], str]] = {
    "pitch_level": (("f0",), "level"),
    "pitch_range": (("f0",), "range"),
    "pitch_movement": (("delta_f0",), "all"),
    "loudness": (("energy",), "level"),
    "loudness_range": (("energy",), "range"),
    "speaking_rate": (("rate",), "all"),
    "pauses": (("voicing",), "all"),
    "brightness": (("tilt",), "all"),
    "breathiness": (("h1_h2",), "all"),
    "roughness": (("jitter", "shimmer"), "all"),
    "clarity": (("harmonicity",), "all"),
    "articulation": (("flux",), "all"),
}


@dataclass(frozen=True, slots=True)
class Neutral:
    """What replaces removed parts of an input.

    Args:
        x: ``[T, C]`` the input.
        origin: ``[C]`` the value of each column where there is nothing.
        scale: ``[C]`` the usual deviation of each column.
        prosody: first column of the prosody channels; ``None`` without them.
        mels: whether the columns before are log-mel bands (otherwise samples).
    """

    x: Tensor
    origin: Tensor
    scale: Tensor
    prosody: int | None
    mels: bool


class GatedView(PartView):
    """Parts with gates. Without gradients it belongs to a pretrained encoder, of which one pass may take a second.

    Args:
        parts: the parts, U of them.
        neutral: the input and what replaces it.
        gated: gates ``[K, U]`` -> inputs ``[K, T, C]``.
    """

    most_passes = 40

    def __init__(self, parts: Sequence[EvidencePart], neutral: Neutral, gated: Callable[[Tensor], Tensor]) -> None:
        self.parts, self._neutral, self._gated = parts, neutral, gated

    def without(self, gone: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`PartView.without`."""
        x = self._gated((~gone).to(self._neutral.x))
        return x, torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)

    def magnitude(self) -> Tensor:
        """Root mean square of what each part adds to its replacement, in usual deviations, ``[U]``."""
        zero = torch.zeros(1, len(self.parts), device=self._neutral.x.device)
        empty = self._gated(zero)[0]
        sizes = []
        for i in range(len(self.parts)):
            gate = zero.clone()
            gate[0, i] = 1.0
            sizes.append((((self._gated(gate)[0] - empty) / self._neutral.scale).square().mean()).sqrt())
        return torch.stack(sizes).cpu()


class SmoothGatedView(GatedView):
    """Parts whose gates have gradients."""

    def gradients(self, target: ClipTarget) -> Tensor | None:
        """Integrated gradients of the gates, from all parts removed to all present (Sundararajan et al. 2017)."""
        from captum.attr import IntegratedGradients

        def score(gates: Tensor) -> Tensor:
            x = self._gated(gates)
            return target(x, torch.ones(x.shape[:2], dtype=torch.bool, device=x.device))

        gates = torch.ones(1, len(self.parts), device=self._neutral.x.device)
        if not score(gates.clone().requires_grad_()).requires_grad:
            return None
        scores: Tensor = IntegratedGradients(score).attribute(gates, n_steps=IG_STEPS, internal_batch_size=IG_STEPS)
        return scores[0]


def band_count(seconds: float) -> int:
    """Number of bands of time."""
    return max(1, min(MOST_BANDS, round(seconds / BAND_SECONDS)))


def time_view(neutral: Neutral, hop: float, start: float, smooth: bool) -> GatedView:
    """Bands of time.

    Args:
        neutral: the input and what replaces it.
        hop: seconds between rows.
        start: time of the first row, seconds from the start of the input.
        smooth: whether gradients may be used.
    """
    x, steps = neutral.x, len(neutral.x)
    count = min(steps, band_count(steps * hop))
    place = torch.arange(steps, device=x.device) * count // steps
    edges = [start + round(i * steps / count) * hop for i in range(count + 1)]
    parts = [
        EvidencePart(name=f"{a:.2f}-{b:.2f} s", score=0.0, start=round(a, 3), end=round(b, 3))
        for a, b in pairwise(edges)
    ]

    def gated(gates: Tensor) -> Tensor:
        return neutral.origin + gates[:, place].unsqueeze(-1) * (x - neutral.origin)

    view = (SmoothGatedView if smooth else GatedView)(parts, neutral, gated)
    view.unit = "time"
    view.baseline = (
        "the mean of every column over the training clips, as the encoder reads it beyond the end of a clip"
        if neutral.mels
        else "silence; prosody channels, if any, at their mean over the training clips"
    )
    return view


def cue_view(
    neutral: Neutral, cues: VoiceCues, baseline: VoiceBaseline | None, others: str, smooth: bool
) -> GatedView | None:
    """Cues, and everything that is not prosody as one part more.

    Args:
        neutral: the input and what replaces it.
        cues: cues of the clip.
        baseline: usual values, to which deviations refer.
        others: name of the columns that are not prosody ("spectrum").
        smooth: whether gradients may be used.

    Returns:
        The view, or ``None`` without prosody channels.
    """
    if neutral.prosody is None:
        return None
    components = _components(neutral)
    parts = [_part(cue.id, cues, baseline) for cue in CUES]
    if neutral.prosody:
        parts.append(EvidencePart(name=others, score=0.0))
    else:
        components = components[:-1]

    def gated(gates: Tensor) -> Tensor:
        return neutral.origin + torch.einsum("ku,utc->ktc", gates, components)

    view = (SmoothGatedView if smooth else GatedView)(parts, neutral, gated)
    view.unit = "cue"
    refers = "unknown, so values are given without deviations" if baseline is None else _refers(baseline)
    view.baseline = f"the mean of the channel over the training clips; deviations refer to: {refers}"
    if not cues.values:
        view.notes = ("too little voice to measure cues",)
    return view


def _refers(baseline: VoiceBaseline) -> str:
    if not baseline.clips:
        return baseline.whose
    return f"{baseline.whose}, from {baseline.clips} clips with {baseline.seconds:.0f} s of voice"


def _part(id: str, cues: VoiceCues, baseline: VoiceBaseline | None) -> EvidencePart:
    cue = next(c for c in CUES if c.id == id)
    part = EvidencePart(name=cue.name, score=0.0, unit=cue.unit)
    if id not in cues.values:
        return replace(part, detail=f"{cue.name} undefined")
    shown = cues.shown(cue)
    deviation = None if baseline is None else baseline.deviation(cue, cues)
    return replace(
        part,
        value=None if shown is None else round(shown, 3),
        deviation=None if deviation is None else round(deviation, 2),
        detail=describe_cue(cue, cues, baseline),
    )


def _components(neutral: Neutral) -> Tensor:
    """What each cue, and then everything else, adds to the replacement, ``[U, T, C]``; the sum is the distance."""
    distance = neutral.x - neutral.origin
    mean = distance.mean(0)
    found = torch.zeros(len(_REMOVED) + 1, *distance.shape, device=distance.device)
    first = neutral.prosody or 0
    found[-1, :, :first] = distance[:, :first]
    for i, (channels, what) in enumerate(_REMOVED.values()):
        for name in channels:
            c = first + PROSODY_CHANNELS.index(name)
            if what in ("level", "all"):
                found[i, :, c] += mean[c]
            if what in ("range", "all"):
                found[i, :, c] += distance[:, c] - mean[c]
            if what == "level" and name == "energy" and neutral.mels:
                # The level of a recording is in its mel bands, too.
                found[i, :, :first] = DB_TO_LOG_POWER * mean[c]
                found[-1, :, :first] -= DB_TO_LOG_POWER * mean[c]
    return found
