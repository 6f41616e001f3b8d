"""Columns of numbers in a table -> features of its clips, written once to safetensors files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from multiemo.data.corpora.cells import cell_text, columns, number
from multiemo.data.corpora.source import RowTroubleError
from multiemo.errors import ManifestError
from multiemo.types import MODALITIES, FeatureRef

#: Clips a file, as in ``feature_pickle``.
_SHARD = 256


class Features:
    """One vector of each modality that has columns, for each clip.

    Args:
        options: {modality: columns, or ``None``}.
        present: the columns that there are.
        where: the table, for the message.
        made: gives the folder that files are written into.

    Raises:
        ManifestError: a column is not there.
    """

    def __init__(
        self, options: Mapping[str, str | None], present: Collection[str], where: Path, made: Callable[[], Path]
    ) -> None:
        self.columns: dict[str, list[str]] = {
            modality: [column for column, _ in columns(option, present, f"{modality}_features", where)]
            for modality in MODALITIES
            if (option := options.get(modality)) is not None
        }
        self._folder = made() / where.stem if self.columns else Path()
        self._waiting: dict[str, dict[str, np.ndarray]] = {modality: {} for modality in self.columns}
        self._files = 0

    def given(self, row: Mapping[str, Any]) -> bool:
        """Whether a row has any."""
        return any(cell_text(row.get(name)) for names in self.columns.values() for name in names)

    def of(self, row: Mapping[str, Any], clip: str) -> dict[str, FeatureRef]:
        """Where the features of a clip will be; a modality whose cells are all empty is absent.

        Raises:
            RowTroubleError: a cell is empty or no number.
        """
        read: dict[str, np.ndarray] = {}
        for modality, names in self.columns.items():
            cells = {name: cell_text(row.get(name)) for name in names}
            if not any(cells.values()):
                continue
            values = []
            for name, cell in cells.items():
                try:
                    values.append(number(cell))
                except ValueError as error:
                    raise RowTroubleError(f"{modality}_features: {name} {error}") from None
            read[modality] = np.array([values], dtype=np.float32)
        for modality, array in read.items():
            self._waiting[modality][clip] = array
        found = {modality: FeatureRef(str(self._file(modality)), clip) for modality in read}
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
            file = self._file(kind)
            try:
                if arrays:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    save_file(arrays, file)
            except (OSError, SafetensorError) as error:
                raise ManifestError(f"{file}: cannot be written ({error}); check the folder's space") from None
        self._waiting = {modality: {} for modality in self.columns}
        self._files += 1

    def _file(self, modality: str) -> Path:
        return self._folder / f"{modality}-{self._files:04d}.safetensors"
