"""Precomputed features: vectors or sequences from a file that the row names."""

from __future__ import annotations

from typing import ClassVar

from multiemo.data.features.columns import given_names, in_order
from multiemo.data.features.reading import read_features
from multiemo.data.manifest.reading import media_path
from multiemo.inputs.base import Input, InputOf, of_type
from multiemo.inputs.material import ClipMaterial, FeatureRows, PreparedInput
from multiemo.preprocess.features import FeaturePreprocessor
from multiemo.registry import inputs
from multiemo.types import Absent, Clip, FeatureSpec, InputSpec, Modality


@inputs.register("features")
class FeatureInput(InputOf[FeatureRows]):
    """Precomputed features of a clip, ``[T, dim]`` float32.

    Args:
        modality: modality of the encoder. A row gives the file under ``features.MODALITY``.
        preprocessor: checks the values and shortens long sequences.
    """

    spec_type = FeatureSpec
    raw = FeatureRows
    title: ClassVar[str] = "precomputed features"
    in_files = False
    spec: FeatureSpec

    def __init__(self, modality: Modality, preprocessor: FeaturePreprocessor) -> None:
        self.modality, self.preprocessor, self.spec = modality, preprocessor, preprocessor.spec

    @classmethod
    def from_spec(cls, modality: Modality, spec: InputSpec) -> Input:
        """As :meth:`Input.from_spec`, of a :class:`~multiemo.types.FeatureSpec`."""
        return cls(modality, FeaturePreprocessor(of_type(spec, FeatureSpec)))

    @classmethod
    def source(cls, clip: Clip, modality: Modality) -> str | Absent:
        """The path of the feature file."""
        reference = clip.features.get(modality)
        return Absent(f"the row has no features.{modality}") if reference is None else reference.path

    @classmethod
    def row_keys(cls, modality: Modality) -> str:
        """As :meth:`Input.row_keys`."""
        return f"features.{modality}"

    def fingerprint(self, clip: Clip) -> dict[str, object]:
        """The spec, and the key of the row or array within the file."""
        return {**super().fingerprint(clip), "key": clip.features[self.modality].key}

    def take(self, material: ClipMaterial) -> FeatureRows | Absent:
        """The values of the feature file, in the order in which the encoder reads the columns.

        Media without a manifest row have none.

        Raises:
            MediaError: the file is unusable, or names other columns than those of training.
        """
        row = material.row
        if row is None:
            return Absent(f"the model reads precomputed features.{self.modality}; give a manifest row that has them")
        reference = row.clip.features.get(self.modality)
        if reference is None:
            return Absent(f"the row has no features.{self.modality}")
        path = media_path(reference.path, row.folder)
        values, found = read_features(path, reference.key, row.clip.start, row.clip.end)
        columns, expected = given_names(found), self.spec.columns
        return FeatureRows(in_order(values, columns, expected, path), expected or columns)

    def make(self, raw: FeatureRows) -> PreparedInput | Absent:
        """``[T, dim]`` float32."""
        tensor = self.preprocessor(raw.values)
        return tensor if isinstance(tensor, Absent) else PreparedInput(tensor)
