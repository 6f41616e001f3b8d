"""Protections by name, and what they change in the rows and files of a manifest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from multiemo.data.features.reading import read_features
from multiemo.data.manifest.reading import read_manifest
from multiemo.errors import ConfigError
from multiemo.media.reading import read_media
from multiemo.privacy.protections import Protection
from multiemo.progress import Progress
from multiemo.types import Clip, FeatureRef

RATE = 16000


@pytest.mark.parametrize(
    "name", ["", "mcadams", "mcadams 9", "mcadams x", "shift 40", "box 1", "centre nose", "noise", "noise 0", "none 1"]
)
def test_names_that_are_not_valid_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"mcadams|semitones"):
        Protection.parse(name)


def test_names() -> None:
    shift, noise = Protection.parse("shift -3"), Protection.parse("noise 0.5 speech")
    assert (shift.modality, shift.voice.method, shift.voice.semitones) == ("speech", "shift", -3.0)
    assert (noise.modality, noise.noise) == ("speech", 0.5)
    assert [m for m in ("text", "speech", "face") if Protection.parse("box").protects(m)] == ["face"]
    assert Protection.parse("none").protects("text")


def test_voices_change_and_everything_else_stays(small_corpus: Path, tmp_path: Path) -> None:
    clips = [c for c in read_manifest(small_corpus) if c.video and c.audio == c.video][:2]
    made = Protection.parse("mcadams 0.7").apply(clips, small_corpus.parent, tmp_path, Progress())
    heard = clips[0], made[0]
    before, after = (
        read_media(folder / str(path), rate=RATE).audio
        for folder, path in ((small_corpus.parent, heard[0].video), (tmp_path, heard[1].audio))
    )
    assert before is not None
    assert after is not None
    assert abs(len(before) - len(after)) < RATE // 10
    count = min(len(before), len(after))
    assert np.corrcoef(before[:count], after[:count])[0, 1] < 0.9
    assert (heard[1].id, heard[1].label, heard[1].text) == (heard[0].id, heard[0].label, heard[0].text)
    assert (tmp_path / str(heard[1].video)).samefile(small_corpus.parent / str(heard[0].video))


def test_words_are_masked(small_corpus: Path, tmp_path: Path) -> None:
    clip = Clip(id="a", corpus="c", text="Please tell Rachel that I paid $50.")
    (made,) = Protection.parse("mask").apply([clip], small_corpus.parent, tmp_path, Progress())
    assert made.text == "Please tell [NAME] that I paid $[NUMBER]."


def test_features_are_centred_or_noisy(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clips = []
    (tmp_path / "in").mkdir()
    for number in range(40):
        np.save(tmp_path / "in" / f"{number}.npy", rng.normal(number % 2 * 10, 1, (1, 3)).astype(np.float32))
        ref = {"face": FeatureRef(f"{number}.npy")}
        clips.append(Clip(id=str(number), corpus="c", speaker=f"p{number % 2}", features=ref))

    def means(name: str) -> list[float]:
        out = tmp_path / name.replace(" ", "")
        out.mkdir()
        made = Protection.parse(name).apply(clips, tmp_path / "in", out, Progress())
        rows = [read_features(out / c.features["face"].path, c.features["face"].key)[0].mean() for c in made]
        return [float(np.mean(rows[p::2])) for p in range(2)] + [float(np.std(rows[::2]))]

    none, centred, noisy = means("none"), means("centre"), means("noise 1")
    assert none[1] - none[0] > 9
    assert centred[0] == pytest.approx(centred[1], abs=1e-4) == pytest.approx((none[0] + none[1]) / 2, abs=1e-4)
    assert centred[2] == pytest.approx(none[2], abs=1e-4), "what varies within a person stays"
    assert noisy[2] > 2 * none[2]
    with pytest.raises(ConfigError, match=r"no row of the manifest has features\.text"):
        Protection.parse("centre text").apply(clips, tmp_path / "in", tmp_path, Progress())
