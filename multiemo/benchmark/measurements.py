"""Parts of ``benchmark.json`` that are measured once and kept: cost, robustness, environment."""

from __future__ import annotations

from dataclasses import field

from multiemo.metrics import PairedTest
from multiemo.metrics.results import Figure, OptionalFigure
from multiemo.records import Record, nothing, record
from multiemo.types import Modality


@record
class Environment(Record):
    """Where something was measured.

    Args:
        hardware: one line; what the machine does not tell is left out.
        versions: {package: version}.
    """

    hardware: str
    versions: dict[str, str]


@record
class Cost(Record):
    """What one subset costs.

    Args:
        parameters: of its branches (encoder and own head) and the fusion.
        flops: floating-point operations of the model for one clip; mean over the measured clips.
        seconds: preprocessing and model for one clip; mean over the measured clips.
        rtf: real-time factor, the same for a second of media; ``None`` where the clips have no media of any length.
        decode_rtf: decoding (reading, for features) for a second of media, apart.
        peak_memory_mb: highest resident memory of a process that loads the model and classifies the longest of the
            measured clips by this subset, MiB; on a GPU the most that its tensors took there.
        train_seconds: of the training of its branches and the fusion; ``None`` where no log says.
    """

    parameters: int
    flops: int
    seconds: float
    rtf: float | None
    decode_rtf: float | None
    peak_memory_mb: float | None
    train_seconds: float | None


@record
class CostReport(Record):
    """What every subset of one run costs, and how that was measured.

    Args:
        subsets: {key: cost}.
        parameters: {branch or ``fusion``: parameters}.
        libraries_mb: memory of a process before the model is loaded, which every ``peak_memory_mb`` includes.
        clips: ids of the measured clips.
        media_seconds: their mean length; ``None`` without media.
        device, threads: of the measurements.
        hardware: one line.
        notes: what a reader must know.
    """

    subsets: dict[str, Cost]
    parameters: dict[str, int]
    libraries_mb: float | None
    clips: tuple[str, ...]
    media_seconds: float | None
    device: str
    threads: int
    hardware: str
    notes: tuple[str, ...]


@record
class Point(Record):
    """One severity of a curve.

    Args:
        severity: in the curve's unit; ``None`` for the clips as they are.
        n: clips; the same at every point of a curve.
        absent: share of them that lack the modality here (for all modalities: the mean of the shares).
        uar, macro_f1, wf1, accuracy, ece: as evaluation has them, of labels.
        ccc, pearson, mae, rmse: likewise, of dimensions without labels.
        uar_ci, ccc_ci: 95% bootstrap interval over speakers.
        difference: paired test of the UAR (of dimensions the CCC) against the clips as they are; ``null`` at that point
            itself.
    """

    severity: int | float | None
    n: int
    absent: float
    uar: OptionalFigure = None
    uar_ci: tuple[Figure, Figure] | None = None
    macro_f1: OptionalFigure = None
    wf1: OptionalFigure = None
    accuracy: OptionalFigure = None
    ece: OptionalFigure = None
    ccc: OptionalFigure = None
    ccc_ci: tuple[Figure, Figure] | None = None
    pearson: OptionalFigure = None
    mae: OptionalFigure = None
    rmse: OptionalFigure = None
    difference: PairedTest | None

    @property
    def main(self) -> float:
        """The figure that is drawn."""
        return float(self.ccc if self.uar is None else self.uar)  # type: ignore[arg-type]

    @property
    def main_ci(self) -> tuple[float, float]:
        """Its interval, or itself twice where there is none."""
        return (self.ccc_ci if self.uar is None else self.uar_ci) or (self.main, self.main)


@record
class Curve(Record):
    """One corruption, and one subset of the modalities.

    Args:
        corruption: its name.
        modality: what is corrupted; ``None`` for all.
        unit: of the severities.
        subset: key of the modalities that the model sees: all of them, or the corrupted one alone.
        prior: UAR (of dimensions CCC) of the same clips with nothing to go by.
        points: the clips as they are, then from mild to severe; empty where the corruption was skipped.
        skipped: why it was.
    """

    corruption: str
    modality: Modality | None
    unit: str
    subset: str
    prior: float | None = field(default_factory=nothing)
    points: list[Point] = field(default_factory=list)
    skipped: str = ""
