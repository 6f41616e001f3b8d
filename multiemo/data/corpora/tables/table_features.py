"""Columns of numbers in a table -> features of its clips, written once to safetensors files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from multiemo.data.corpora.source import RowTroubleError
from multiemo.data.corpora.tables.cells import cell_text, columns, number
from multiemo.data.corpora.tables.table_media import Filled, MediaColumns
from multiemo.errors import ManifestError
from multiemo.types import MODALITIES, FeatureRef

#: Clips a file, as in ``feature_pickle``.
_SHARD = 256


class Features:
    """What the feature columns of a table hold: numbers, one vector a clip, or the path of a clip's file of them.

    Args:
        options: {modality: columns, or a pattern of a path, or ``None``}.
        present: the columns that there are.
        where: the table, for the message.
        made: gives the folder that files are written into.
        media: finds files.

    Raises:
        ManifestError: a column is not there.
    """

    def __init__(
        self,
        options: Mapping[str, str | None],
        present: Collection[str],
        where: Path,
        made: Callable[[], Path],
        media: MediaColumns,
    ) -> None:
        self.columns: dict[str, list[str]] = {}
        self._paths: dict[str, Filled] = {}
        for modality in MODALITIES:
            option, name = options.get(modality), f"{modality}_features"
            if option is None:
                continue
            pattern = "{" in option and option not in present
            found = [] if pattern else [column for column, _ in columns(option, present, name, where)]
            self.columns[modality] = found
            if len(found) < 2:
                self._paths[modality] = Filled(found[0] if found else option, present, name, where)
        self._made, self._name, self._media = made, where.stem, media
        self._waiting: dict[str, dict[str, np.ndarray]] = {modality: {} for modality in self.columns}
        self._files = 0

    def given(self, row: Mapping[str, Any]) -> bool:
        """Whether a row has any."""
        cells = (cell_text(row.get(name)) for names in self.columns.values() for name in names)
        return any(cells) or any(filled.of(row) for filled in self._paths.values())

    def of(self, row: Mapping[str, Any], clip: str, where: str) -> dict[str, FeatureRef]:
        """Where the features of a clip are, or will be; a modality whose cells are all empty is absent.

        Args:
            row: the cells.
            clip: its id.
            where: the row, for messages.

        Raises:
            RowTroubleError: a cell is empty, or neither a number nor the path of a file.
        """
        found: dict[str, FeatureRef] = {}
        vectors: dict[str, np.ndarray] = {}
        for modality, names in self.columns.items():
            filled = self._paths.get(modality)
            path = "" if filled is None else filled.of(row)
            cells = [(name, cell_text(row.get(name))) for name in names]
            if filled is not None and path and not _is_number(path):
                place = self._media.find(filled, path, where)
                if place is None:
                    raise RowTroubleError(self._media.last_missing(filled.name))
                found[modality] = FeatureRef(place)
            elif any(cell for _, cell in cells):
                vectors[modality] = np.array([[_number(name, cell) for name, cell in cells]], dtype=np.float32)
        for modality, vector in vectors.items():
            self._waiting[modality][clip] = vector
            found[modality] = FeatureRef(str(self._file(modality)), clip)
        if any(len(arrays) >= _SHARD for arrays in self._waiting.values()):
            self.write()
        return found

    def write(self) -> None:
        """Write what waits.

        Raises:
            ManifestError: that cannot be done.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        for kind, arrays in self._waiting.items():
            if not arrays:
                continue
            file = self._file(kind)
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                save_file(arrays, file)
            except (OSError, SafetensorError) as error:
                raise ManifestError(f"{file}: cannot be written ({error}); check the folder's space") from None
        self._waiting = {modality: {} for modality in self.columns}
        self._files += 1

    def _file(self, modality: str) -> Path:
        return self._made() / self._name / f"{modality}-{self._files:04d}.safetensors"


def _is_number(cell: str) -> bool:
    try:
        number(cell)
    except ValueError:
        return False
    return True


def _number(column: str, cell: str) -> float:
    try:
        return number(cell)
    except ValueError as error:
        raise RowTroubleError(f"feature {column} {error}") from None
