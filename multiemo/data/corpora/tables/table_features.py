"""Convert columns of numbers in a table to features of its clips, written to safetensors files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from multiemo.data.corpora.source import RowTroubleError
from multiemo.data.corpora.tables.cells import cell_text, columns, number
from multiemo.data.corpora.tables.table_media import CellPattern, MediaColumns
from multiemo.errors import ManifestError
from multiemo.types import MODALITIES, FeatureRef

#: Number of clips per file, as in ``feature_pickle``.
_SHARD = 256


class Features:
    """The feature columns of a table: numbers that form one vector per clip, or paths of feature files.

    Args:
        options: {modality: columns, or a pattern of a path, or ``None``}.
        present: the columns of the table.
        where: the table, for messages.
        made: returns the folder for written files.
        media: finds files.

    Raises:
        ManifestError: a column does not exist.
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
        self._paths: dict[str, CellPattern] = {}
        for modality in MODALITIES:
            option, name = options.get(modality), f"{modality}_features"
            if option is None:
                continue
            pattern = "{" in option and option not in present
            found = [] if pattern else [column for column, _ in columns(option, present, name, where)]
            self.columns[modality] = found
            if len(found) < 2:
                self._paths[modality] = CellPattern(found[0] if found else option, present, name, where)
        self._made, self._name, self._media = made, where.stem, media
        self._pending: dict[str, dict[str, np.ndarray]] = {modality: {} for modality in self.columns}
        self._files = 0

    def given(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row has features."""
        cells = (cell_text(row.get(name)) for names in self.columns.values() for name in names)
        return any(cells) or any(filled.of(row) for filled in self._paths.values())

    def of(self, row: Mapping[str, Any], clip: str, where: str) -> dict[str, FeatureRef]:
        """Return {modality: reference to the features of a clip}; a modality with only empty cells is absent.

        Vectors of numbers are written later, in batches.

        Args:
            row: the cells of the row.
            clip: id of the clip.
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
            self._pending[modality][clip] = vector
            found[modality] = FeatureRef(str(self._file(modality)), clip)
        if any(len(arrays) >= _SHARD for arrays in self._pending.values()):
            self.write()
        return found

    def write(self) -> None:
        """Write the pending vectors.

        Raises:
            ManifestError: a file cannot be written.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        for kind, arrays in self._pending.items():
            if not arrays:
                continue
            file = self._file(kind)
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                save_file(arrays, file)
            except (OSError, SafetensorError) as error:
                raise ManifestError(f"{file}: cannot be written ({error}); check the free disk space") from None
        self._pending = {modality: {} for modality in self.columns}
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
