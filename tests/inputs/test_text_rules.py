"""The rule vector of a text, and the lexicon of a user that a model was made with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from multiemo.benchmark.robustness.corrupt_text import Wording, asr_errors
from multiemo.benchmark.robustness.corrupted_clips import Material
from multiemo.data.cache.tensors import TensorCache
from multiemo.errors import CheckpointError, ConfigError
from multiemo.inputs import build_input, spec_from_dict
from multiemo.inputs.material import ClipMaterial, ManifestRow
from multiemo.inputs.text_rules import TextRulesInput
from multiemo.rules.text import read_text
from multiemo.rules.vector import rule_vector
from multiemo.types import Absent, Clip, TextRulesSpec, spec_to_dict


@pytest.fixture
def lexicon(tmp_path: Path) -> Path:
    path = tmp_path / "german.txt"
    path.write_text("froh\t2.4\t0.6\t[2]\ntraurig\t-2.0\t0.5\t[-2]\n", "utf-8")
    return path


def made(spec: TextRulesSpec, assets: Path | None = None) -> TextRulesInput:
    built = build_input("text", spec, assets=assets)
    assert isinstance(built, TextRulesInput)
    return built


def vector(entry: TextRulesInput, clip: Clip) -> torch.Tensor:
    read = entry.read(ClipMaterial(clip.text, row=ManifestRow(clip, Path())))
    assert not isinstance(read, Absent)
    return read.tensor


def test_the_vector_is_that_of_the_findings() -> None:
    text = "I am not happy but 很开心！"
    got = vector(made(TextRulesSpec()), Clip(id="a", corpus="x", text=text))
    assert (got.shape, got.dtype) == ((1, 12), torch.float32)
    assert got[0].tolist() == rule_vector(read_text(text)).tolist()


def test_the_language_of_the_row_counts_unless_the_config_names_one() -> None:
    clip = Clip(id="a", corpus="x", text="die sad", language="de")
    assert not vector(made(TextRulesSpec()), clip).any()
    assert vector(made(TextRulesSpec(language="en")), clip).any()


def test_no_words() -> None:
    entry = made(TextRulesSpec())
    assert isinstance(entry.read(ClipMaterial(" ")), Absent)
    assert isinstance(entry.read(ClipMaterial(None)), Absent)


def test_a_lexicon_is_stored_by_path_and_digest(lexicon: Path, tmp_path: Path) -> None:
    entry = made(TextRulesSpec(lexicon=str(lexicon)))
    clip = Clip(id="a", corpus="x", text="Ich bin froh", language="de")
    assert vector(entry, clip).any()
    stored = spec_from_dict(spec_to_dict(entry.spec))
    assert isinstance(stored, TextRulesSpec)
    assert (stored.lexicon, len(stored.lexicon_sha256)) == (str(lexicon), 64)
    model = tmp_path / "model"
    model.mkdir()
    entry.save(model)
    assert not list(model.iterdir()), "a licensed lexicon is not copied"
    assert torch.equal(vector(made(stored, model), clip), vector(entry, clip))
    moved = lexicon.rename(model / lexicon.name)  # beside the model is fine, too
    assert torch.equal(vector(made(stored, model), clip), vector(entry, clip))
    moved.write_text("froh\t-2.4\n", "utf-8")
    with pytest.raises(CheckpointError, match=r"is another lexicon, or was changed; give the lexicon .*SHA-256"):
        made(stored, model)
    moved.unlink()
    with pytest.raises(CheckpointError, match=r"german\.txt is missing; model folders do not contain it"):
        made(stored, model)


def test_a_wrong_lexicon_stops_before_training(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        made(TextRulesSpec(lexicon=str(tmp_path / "none.xlsx")))
    (tmp_path / "bad.txt").write_text("hello", "utf-8")
    with pytest.raises(ConfigError, match="no lexicon in a known format"):
        made(TextRulesSpec(lexicon=str(tmp_path / "bad.txt")))


def test_the_key_of_the_cache_follows_words_language_and_lexicon(lexicon: Path, tmp_path: Path) -> None:
    cache = TensorCache(tmp_path / "cache")
    plain, own = made(TextRulesSpec()), made(TextRulesSpec(lexicon=str(lexicon)))
    row = ManifestRow(Clip(id="a", corpus="x", text="so sad"), tmp_path)
    german = ManifestRow(Clip(id="a", corpus="x", text="so sad", language="de"), tmp_path)
    assert len({plain.key(row, cache), own.key(row, cache), plain.key(german, cache)}) == 3


def test_corruptions_keep_the_language() -> None:
    clip, entry = Clip(id="a", corpus="x", text="die sad", language="de"), made(TextRulesSpec())
    raw = entry.take(ClipMaterial(clip.text, row=ManifestRow(clip, Path())))
    wording = Material().corruptible(clip, entry, raw)
    assert isinstance(wording, Wording)
    found = entry.find(asr_errors(wording, 0.0, np.random.default_rng(0)))
    assert not isinstance(found, Absent)
    assert not found.reasons
