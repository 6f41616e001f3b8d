"""Features in place of media: what is written, and what is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from multiemo.config import load_config
from multiemo.data.manifest.reading import read_manifest
from multiemo.data.splits.seen import Seen
from multiemo.errors import ManifestError
from multiemo.privacy.features_only import SEEN, share_features
from multiemo.runs import evaluate_run, load_bundle, train
from multiemo.types import Clip, FeatureRef


@pytest.fixture(scope="module")
def shared(tiny_run: Path, small_corpus: Path, tmp_path_factory: pytest.TempPathFactory):
    clips = read_manifest(small_corpus)
    out = tmp_path_factory.mktemp("shared") / "shared.jsonl"
    return clips, share_features(clips, small_corpus.parent, tiny_run, out), out


def test_nothing_of_a_clip_is_written_but_features_and_labels(shared) -> None:
    clips, made, out = shared
    assert sorted(p.name for p in out.parent.iterdir()) == ["shared.features.safetensors", "shared.jsonl"]
    text = out.read_text("utf-8") + " ".join(load_file(made.features))
    for clip in clips:
        hidden = [clip.id, clip.speaker, clip.text, clip.video, clip.audio]
        assert not [word for word in hidden if word and word in text], clip.id
    keys = {key for line in out.read_text("utf-8").splitlines() for key in json.loads(line)}
    assert not keys & {"text", "audio", "video", "image", "start", "end"}


def test_labels_people_and_features_still_belong_together(shared, tiny_run, small_corpus) -> None:
    """Found again by the features themselves, since names and order are gone."""
    clips, made, out = shared
    rows = read_manifest(out)
    assert [c.id for c in rows] == [f"clip-{n:06d}" for n in range(1, len(rows) + 1)]
    assert len(rows) == len(clips) - made.left_out
    values = load_file(made.features)
    again = share_features(clips, small_corpus.parent, tiny_run, out.with_name("again.jsonl"))
    others = load_file(again.features)
    speakers: dict[str, set[str]] = {}
    order = []
    for row in rows:
        mine = {m: values[ref.key] for m, ref in row.features.items()}
        twins = [
            twin
            for twin in again.clips
            if set(twin.features) == set(mine)
            and all(torch.equal(others[ref.key], mine[m]) for m, ref in twin.features.items())
        ]
        assert twins
        assert row.label in {twin.label for twin in twins}
        order.append(twins[0].id)
        if len(twins) == 1:
            speakers.setdefault(row.speaker, set()).add(twins[0].speaker)
    assert len(speakers) == len({c.speaker for c in clips})
    assert all(len(found) == 1 for found in speakers.values())
    assert order != [row.id for row in rows], "the order must not tell which clip it is"


def test_clips_of_people_whom_the_model_knows_are_marked(shared, tiny_run) -> None:
    clips, made, _ = shared
    seen = load_bundle(tiny_run).seen
    known = [c for c in clips if seen.among([c], "speaker")]
    assert 0 < len(known) < len(clips)
    assert made.seen == sum(c.attributes[SEEN] == "yes" for c in made.clips) == len(known) - made.left_out
    assert Seen.of(clips).among(made.clips, "speaker") == []


def test_it_trains_a_model_of_features(shared, tiny_config, tmp_path) -> None:
    lines = {
        "data": f"{{manifest: '{shared[2]}', split: {{val: 0.3, test: 0.34, seed: 1}}}}",
        "encoders": "{speech: {name: features, hidden: 8}, face: {name: features, hidden: 8}}",
    }
    config = load_config(tiny_config(tmp_path, modalities=("speech", "face"), **lines))
    train(config, tmp_path / "run")
    report = evaluate_run(tmp_path / "run")
    assert report.n > 0
    assert np.isfinite(report.subsets[report.full].uar)


def test_clips_that_the_model_cannot_read_are_an_error(tiny_run, tmp_path) -> None:
    clip = Clip(id="a", corpus="x", label_set="demo5", label="happy", features={"face": FeatureRef("a.npy")})
    with pytest.raises(ManifestError, match=r"out\.jsonl: not written: no clip has text or speech or face"):
        share_features([clip], tmp_path, tiny_run, tmp_path / "out.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_the_command_leaves_nothing_else(tiny_run, small_corpus, tmp_path, cli) -> None:
    rows = [json.loads(line) for line in small_corpus.read_text("utf-8").splitlines()][:6]
    table = "".join(f"{r['id']},{r['speaker']},{r['label']},I am {r['label']} today\n" for r in rows)
    source = tmp_path / "t.csv"
    source.write_text(f"id,speaker,label,text\n{table}")
    out = tmp_path / "out" / "m.jsonl"
    options = ("label=label", "label_set=demo5", "text=text", "--out", out, "--features-only", tiny_run)
    code, said, err = cli("prepare", "table", source, *options)
    assert code == 0, err
    assert sorted(p.name for p in out.parent.iterdir()) == ["m.features.safetensors", "m.jsonl"]
    assert f"{out}: 6 clips" in said
    assert "pseudonymous, not anonymous" in err


def test_a_place_or_a_run_that_is_not_there_is_one_line(tiny_run, tmp_path, cli) -> None:
    (tmp_path / "file").write_text("x")
    table = tmp_path / "t.csv"
    table.write_text("text\nhello\n")
    code, _, err = cli(
        "prepare", "table", table, "text=text", "--out", tmp_path / "file" / "m.jsonl", "--features-only", tiny_run
    )
    assert (code, err.count("\n")) == (1, 1)
    assert "file: cannot be created" in err
    code, _, err = cli("prepare", "table", tmp_path / "no.csv", "--features-only", tmp_path / "nothing")
    assert code == 1
    assert f"{tmp_path / 'nothing'}" in err
