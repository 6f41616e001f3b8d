"""The face input."""

from __future__ import annotations

import numpy as np

from multiemo.inputs import build_input
from multiemo.inputs.material import ClipMaterial, Pictures, Request
from multiemo.preprocess.faces.crops import NO_FACE
from multiemo.types import Absent, Clip, FaceSpec


def reader():
    return build_input("face", FaceSpec(size=32, frames=3))


def test_it_asks_for_pictures_and_follows_films():
    entry = reader()
    assert entry.request == Request(fps=4.0, max_frames=3)
    assert entry.tracker() is not None
    assert entry.source(Clip(id="a", corpus="x", audio="a.wav", image="a.png"), "face") == "a.png"
    assert entry.source(Clip(id="a", corpus="x", audio="a.wav"), "face") == Absent(
        "the row has neither video nor image"
    )
    assert entry.baseline_input().spec == FaceSpec(size=48, frames=3)


def test_whether_a_face_is_looked_for_is_part_of_the_fingerprint():
    plain, crop = (Clip(id="a", corpus="x", image="a.png", cropped=cropped) for cropped in (False, True))
    assert reader().fingerprint(crop) == {**reader().fingerprint(plain), "cropped": True}


def test_a_still_without_a_face_has_the_reason_of_training_and_advice():
    entry, grey = reader(), np.full((1, 60, 60, 3), 127, np.uint8)
    for still in (True, False):
        found = entry.read(ClipMaterial(pictures=Pictures(grey, np.zeros(1), still=still)))
        assert found.reason == NO_FACE
        assert ("--cropped" in found.advice) == still
    assert entry.read(ClipMaterial()) == Absent("the file has no video track")
