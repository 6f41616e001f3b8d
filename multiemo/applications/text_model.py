"""Predicts texts in batches, with the text encoder of a model alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from multiemo.calibration import UNCERTAIN
from multiemo.errors import ConfigError
from multiemo.evaluation import probabilities_of
from multiemo.inputs.material import Utterance
from multiemo.predict import Predictor
from multiemo.tables.reading import Columns, Row
from multiemo.types import DIMENSIONS, Absent, ContextTurn, Output, Sample

#: Largest number of texts in a batch.
BATCH = 128
#: Largest number of tokens in a batch, including padding.
_MAX_TOKENS = 16384


class TextModel:
    """Predicts many texts; each gets the same prediction as ``Predictor.predict`` gives a manifest row of it.

    Args:
        predictor: a loaded model.
        batch: largest number of texts in a batch.

    Raises:
        ConfigError: the model does not read text.
    """

    def __init__(self, predictor: Predictor, *, batch: int = BATCH) -> None:
        reader = predictor.bundle.inputs.get("text")
        if reader is None or not issubclass(reader.raw, Utterance):
            name, reads = predictor.bundle.config.name, ", ".join(predictor.model.modalities)
            raise ConfigError(f"{name}: this model reads {reads}, but not text; give one that reads text")
        self._input, self._predictor, self._batch = reader, predictor, batch
        self._multi = predictor.model.task == "multi"
        self._learnt = predictor.model.learnt_dimensions
        numbers = ("emotion_prob", *(f"p_{label}" for label in predictor.labels))
        labelled: Columns = {
            "emotion": pl.String(),
            "emotion_best": pl.String(),
            **dict.fromkeys(numbers, pl.Float64()),
            **({"emotion_labels": pl.List(pl.String)} if self._multi else {}),
        }
        #: The columns that are added to a row: ``emotion`` (a label or ``uncertain``), ``emotion_best`` with its
        #: probability ``emotion_prob``, ``p_LABEL`` for each label, ``emotion_labels`` if several can hold at once, and
        #: the dimensions that the model has learnt. A model without labels adds the dimensions alone.
        self.columns: Columns = {
            **({} if predictor.model.task == "dimensions" else labelled),
            **{DIMENSIONS[c]: pl.Float64() for c in self._learnt},
        }

    def predict(self, texts: Sequence[str | None], before: Sequence[Sequence[ContextTurn]]) -> list[Row | str]:
        """Predict texts.

        Args:
            texts: N texts; ``None`` where there is none.
            before: for each text the turns before it, oldest first.

        Returns:
            For each text {column: value} of the added columns, or the reason why it was not predicted.
        """
        turns = zip(texts, before, strict=True)
        inputs = [
            Absent("no text") if text is None else self._input.prepare(Utterance(text, context))
            for text, context in turns
        ]
        found: list[Row | str] = [_reason(made) if isinstance(made, Absent) else {} for made in inputs]
        waiting = [(i, made.tensor) for i, made in enumerate(inputs) if not isinstance(made, Absent)]
        waiting.sort(key=lambda one: -len(one[1]))
        while waiting:
            count = max(1, min(self._batch, _MAX_TOKENS // len(waiting[0][1])))
            batch, waiting = waiting[:count], waiting[count:]
            for (i, _), row in zip(batch, self._classify([tokens for _, tokens in batch]), strict=True):
                found[i] = row
        return found

    @torch.inference_mode()
    def _classify(self, tokens: Sequence[Tensor]) -> Iterator[Row]:
        """The added columns for each of a batch of texts, ``[T]`` token ids each."""
        predictor = self._predictor
        model, calibration = predictor.model, predictor.calibration
        unknown = torch.full((len(DIMENSIONS),), float("nan"))
        samples = [Sample("", "", "", {"text": t}, {}, None, unknown) for t in tokens]
        output = predictor.run(samples)
        keys = ["T"] * len(tokens)
        if model.task == "dimensions":
            yield from (dict(zip(self.columns, row, strict=True)) for row in self._dimensions(output).tolist())
            return
        exact = calibration.scaled(keys, probabilities_of(output.logits, model.task).numpy(), model.task)
        chosen = calibration.decide(keys, exact, model.task)
        probabilities = exact.round(6)
        dimensions = self._dimensions(output)
        for i, best in enumerate((exact.argmax(1) if self._multi else chosen).tolist()):
            row, label = probabilities[i].tolist(), predictor.labels[best]
            certain = calibration.answers("T", float(exact[i, best]))
            cells: list[Any] = [label if certain else UNCERTAIN, label, row[best], *row]
            if self._multi:
                cells.append([name for name, flag in zip(predictor.labels, chosen[i], strict=True) if flag])
            yield dict(zip(self.columns, [*cells, *dimensions[i].tolist()], strict=True))

    def _dimensions(self, output: Output) -> NDArray[np.float64]:
        """``[N, K]`` values of the K dimensions that the model has learnt."""
        if output.dimensions is None:
            return np.zeros((len(output.logits), 0))
        values = output.dimensions[:, self._learnt].double().cpu().numpy()
        return np.asarray(values.round(4), dtype=np.float64)


def _reason(absent: Absent) -> str:
    """The reason without the text itself, so that rows can be counted by it."""
    return "no token that the model knows" if absent.reason.startswith("the tokenizer") else absent.reason
