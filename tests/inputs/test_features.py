"""The input of precomputed features."""

from __future__ import annotations

import numpy as np

from multiemo.inputs import build_input
from multiemo.inputs.material import ClipMaterial, ManifestRow
from multiemo.types import Absent, Clip, FeatureRef, FeatureSpec


def test_they_come_from_rows_alone(tmp_path):
    entry = build_input("face", FeatureSpec(dim=2))
    assert not entry.in_files
    assert not entry.decodes
    assert "features.face" in entry.read(ClipMaterial()).reason
    np.savez(tmp_path / "f.npz", one=np.ones((3, 2), np.float32))
    clip = Clip(id="a", corpus="x", features={"face": FeatureRef("f.npz", "one")})
    read = entry.read(ClipMaterial(row=ManifestRow(clip, tmp_path)))
    assert read.tensor.tolist() == [[1, 1]] * 3
    assert entry.fingerprint(clip)["key"] == "one"
    bare = Clip(id="b", corpus="x", text="hm")
    assert entry.read(ClipMaterial(row=ManifestRow(bare, tmp_path))) == Absent("the row has no features.face")
