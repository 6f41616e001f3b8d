"""Parts of ``benchmark.json`` that are measured once and stored: cost, robustness and environment."""

from __future__ import annotations

from dataclasses import field

from multiemo.metrics import PairedTest
from multiemo.metrics.results import Figure, OptionalFigure
from multiemo.records import Record, nothing, record
from multiemo.types import Modality


@record
class Environment(Record):
    """The machine and the software of a measurement.

    Args:
        hardware: one line; what the system does not report is left out.
        versions: {package: version}.
    """

    hardware: str
    versions: dict[str, str]


@record
class Cost(Record):
    """Cost of one subset of modalities.

    Args:
        parameters: number of parameters of its branches (encoder and own head) and of the fusion.
        flops: floating-point operations of the model for one clip; mean over the measured clips.
        seconds: time of preprocessing and model for one clip, seconds; mean over the measured clips.
        rtf: real-time factor: the same time per second of media; ``None`` if the clips have no media with a duration.
        decode_rtf: time of decoding (for features, of reading) per second of media; not part of ``rtf``.
        peak_memory_mb: peak resident memory of a process that loads the model and classifies the longest of the
            measured clips by this subset, MiB; on a GPU, the peak memory of its tensors there.
        train_seconds: training time of its branches and of the fusion, seconds; ``None`` if it was not logged.
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
    """Cost of every subset of one run, and how it was measured.

    Args:
        subsets: {key: cost}.
        parameters: {branch or ``fusion``: number of parameters}.
        libraries_mb: memory of a process before the model is loaded, MiB; every ``peak_memory_mb`` includes it.
        clips: ids of the measured clips.
        media_seconds: their mean duration, seconds; ``None`` without media.
        device, threads: device of the model, and number of CPU threads.
        hardware: one line.
        notes: remarks for the reader of the results.
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
    """One severity of a robustness curve.

    Args:
        severity: severity in the unit of the curve; ``None`` for the uncorrupted clips.
        n: number of clips; the same at every point of a curve.
        absent: share of the clips that lack the modality at this severity (for all modalities, the mean of their
            shares).
        uar, macro_f1, wf1, accuracy, ece: figures of labels, as in an evaluation.
        ccc, pearson, mae, rmse: figures of dimensions without labels.
        uar_ci, ccc_ci: 95% bootstrap interval over speakers.
        difference: paired test of the UAR (for dimensions, of the CCC) against the uncorrupted clips; ``null`` for the
            uncorrupted clips themselves.
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
        """The figure that is plotted: UAR, or CCC for dimensions."""
        return float(self.ccc if self.uar is None else self.uar)  # type: ignore[arg-type]

    @property
    def main_ci(self) -> tuple[float, float]:
        """The interval of the main figure, or the figure twice if it has none."""
        return (self.ccc_ci if self.uar is None else self.uar_ci) or (self.main, self.main)


@record
class Curve(Record):
    """Robustness curve of one corruption and one subset of modalities.

    Args:
        corruption: name of the corruption.
        modality: the corrupted modality; ``None`` for all.
        unit: unit of the severities.
        subset: key of the modalities that the model gets: all of them, or only the corrupted one.
        prior: UAR (for dimensions, CCC) on the same clips without any input.
        points: the uncorrupted clips, then mild to severe; empty if the corruption was skipped.
        skipped: why the corruption was skipped; empty if it was not.
    """

    corruption: str
    modality: Modality | None
    unit: str
    subset: str
    prior: float | None = field(default_factory=nothing)
    points: list[Point] = field(default_factory=list)
    skipped: str = ""
