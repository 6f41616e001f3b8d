"""What holds for every corruption: seeds, shapes, severities, names."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from multiemo.benchmark.robustness.corrupt_face import Film
from multiemo.benchmark.robustness.corrupt_speech import Sound
from multiemo.benchmark.robustness.corruptions import CORRUPTIONS, choose
from multiemo.errors import ConfigError
from tests.support.corrupted import CHANGING, apply, film, sound, wordings

IDENTITY = {
    "white_noise": math.inf,
    "babble": math.inf,
    "clipping": math.inf,
    "occlusion": 0.0,
    "blur": 0.0,
    "low_light": 0.0,
    "low_resolution": math.inf,
    "dropped_frames": 0.0,
    "asr_errors": 0.0,
    "typos": 0.0,
}


def given_to(corruption):
    if corruption.modality == "speech":
        return sound(seconds=1.0)
    return film(12) if corruption.modality == "face" else wordings(1)[0][0]


def content(given):
    if isinstance(given, Sound):
        return given.samples
    return given.frames if isinstance(given, Film) else given.text


@pytest.mark.parametrize("corruption", CHANGING, ids=lambda c: c.name)
def test_the_same_seed_clip_and_corruption_give_the_same_and_others_do_not(corruption):
    given, severity = given_to(corruption), corruption.severities[2]
    first = content(apply(corruption.name, given, severity))
    apply(corruption.name, given, corruption.severities[0], clip="other")
    again = content(apply(corruption.name, given, severity))
    assert_array_equal(first, again)
    if corruption.name not in ("clipping", "blur", "low_resolution"):
        for other in ({"seed": 1}, {"clip": "b"}):
            assert not np.array_equal(first, content(apply(corruption.name, given, severity, **other)))


@pytest.mark.parametrize("corruption", CHANGING, ids=lambda c: c.name)
def test_kind_shape_and_range_stay_at_every_severity(corruption):
    given = given_to(corruption)
    before = content(given)
    kept = before if isinstance(before, str) else before.copy()
    for severity in corruption.severities:
        got = content(apply(corruption.name, given, severity))
        if isinstance(kept, str):
            assert isinstance(got, str)
            continue
        assert got.dtype == kept.dtype
        assert got.shape[1:] == kept.shape[1:]
        assert corruption.name == "dropped_frames" or got.shape == kept.shape
        assert np.isfinite(got).all()
        assert corruption.modality != "speech" or np.abs(got).max() <= 1
    assert_array_equal(content(given), kept), "the clip itself is not touched"


def test_every_corruption_but_the_telephone_has_a_severity_that_changes_nothing():
    assert set(IDENTITY) == {c.name for c in CHANGING} - {"telephone"}
    for name, severity in IDENTITY.items():
        given = given_to(CORRUPTIONS[name])
        assert_array_equal(content(apply(name, given, severity)), content(given))


def test_names_are_checked():
    assert len(choose()) == len(CORRUPTIONS)
    own = replace(CORRUPTIONS["typos"], name="mine", severities=(0.5,))
    assert choose(["babble", own])[1] is own
    with pytest.raises(ConfigError, match="did you mean 'babble'"):
        choose(["babbel"])
