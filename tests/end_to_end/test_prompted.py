"""A run with a prompted branch: trained, evaluated, compared, used for prediction and explained."""

from __future__ import annotations

import json

import pytest
from safetensors.torch import load_file

from multiemo.benchmark.cost.cost import count_parameters
from multiemo.config import load_config
from multiemo.encoders.text.text_prompted import TextPrompted
from multiemo.runs import load_bundle, train
from tests.support.tiny_language_models import save_language_model
from tests.support.tiny_media_models import save_media_model


@pytest.fixture(scope="module")
def runs(tiny_config, tmp_path_factory):
    """A branch alone, and one below a trained fusion; the number of clips that the fused run asked about."""
    folder = tmp_path_factory.mktemp("prompted")
    model = save_language_model(folder / "lm")
    text = f"{{name: text_prompted, model: {model}}}"
    alone = load_config(tiny_config(folder, modalities=("text",), encoders=f"{{text: {text}}}"))
    train(alone, folder / "alone")
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        scores = TextPrompted.scores
        patch.setattr(TextPrompted, "scores", lambda self, x, mask: asked.append(len(x)) or scores(self, x, mask))
        both = f"{{text: {text}, speech: {{name: speech_prosody, width: 4, out_dim: 8}}}}"
        train(load_config(tiny_config(folder, modalities=("text", "speech"), encoders=both)), folder / "fused")
    return folder / "alone", folder / "fused", sum(asked)


def test_the_folder_refers_to_the_language_model(runs):
    alone, _, _ = runs
    assert set(load_file(alone / "model" / "model.safetensors")) >= {"encoders.text.reference"}
    assert (alone / "model" / "model.safetensors").stat().st_size < 5000
    bundle = load_bundle(alone)
    encoder = bundle.model.encoders["text"]
    assert bundle.facts["prompts"] == {"text": encoder.stored.prompt.digest}
    assert encoder.reference.isfinite().all()
    assert count_parameters(bundle.model) == {"text": sum(p.numel() for p in encoder.backbone.parameters())}


def test_training_on_top_asks_once_for_each_clip(runs):
    _, fused, asked = runs
    splits = json.loads((fused / "splits.json").read_text("utf-8"))
    clips = sum(len(splits["fuse"]["parts"][part]) for part in ("train", "val"))
    assert 0 < asked <= clips


def test_evaluation_prediction_explanation_and_comparison(runs, cli, tmp_path):
    alone, fused, _ = runs
    for run in (alone, fused):
        assert cli("evaluate", run)[0] == 0
    code, out, _ = cli("compare", alone, fused, "--json", "-")
    assert code == 0
    assert "alone" in out
    assert "fused" in out
    code, out, err = cli("predict", alone, "--text", "I am so happy", "--json", "-")
    assert code == 0, err
    (entry,) = json.loads(out)["inputs"]
    bundle = load_bundle(alone)
    assert entry["segments"][0]["probs"].keys() == set(bundle.labels)
    code, _, err = cli("explain", alone, "--text", "I am so happy", "--out", tmp_path / "why.html")
    assert code == 0, err
    assert "happy" in (tmp_path / "why.html").read_text("utf-8")


def test_a_single_branch_estimates_no_dimensions(runs, tiny_config, tmp_path, cli):
    alone, _, _ = runs
    model = load_bundle(alone).config.encoders["text"].options["model"]
    config = tiny_config(
        tmp_path, modalities=("text",), encoders=f"{{text: {{name: text_prompted, model: {model}}}}}", dimensions="true"
    )
    code, _, err = cli("train", config, "--out", tmp_path / "run")
    assert (code, "answers with labels, not with valence" in err) == (2, True)


@pytest.fixture(scope="module")
def media_runs(tiny_config, tmp_path_factory):
    """A voice alone, and below a fusion with a face, both asked about, and a trained branch of words."""
    folder = tmp_path_factory.mktemp("prompted_media")
    hears, sees = save_media_model(folder / "hears", "qwen2_audio"), save_media_model(folder / "sees", "llava")
    speech = f"speech: {{name: speech_prompted, model: {hears}}}"
    face = f"face: {{name: face_prompted, model: {sees}, frames: 2, size: 32}}"
    text = "text: {name: text_transformer, dim: 16, layers: 1, heads: 2, vocab_size: 600}"
    train(
        load_config(tiny_config(folder, modalities=("speech",), encoders=f"{{{speech}}}")),
        folder / "alone",
    )
    train(load_config(tiny_config(folder, encoders=f"{{{text}, {speech}, {face}}}")), folder / "fused")
    return folder / "alone", folder / "fused"


@pytest.mark.slow
def test_voices_and_faces_are_evaluated_predicted_and_explained(media_runs, cli, small_corpus, tmp_path):
    alone, fused = media_runs
    bundle = load_bundle(fused)
    asked = {m: bundle.model.encoders[m].stored.prompt.digest for m in ("speech", "face")}
    assert bundle.facts["prompts"] == asked
    assert load_bundle(alone).facts["prompts"] == {"speech": asked["speech"]}
    for run in media_runs:
        assert cli("evaluate", run)[0] == 0
    assert json.loads((fused / "evaluation.json").read_text("utf-8"))["subsets"].keys() >= {"S", "F", "TSF"}
    film = next(small_corpus.parent.glob("media/*.mp4"))
    code, out, err = cli("predict", fused, film, "--text", "I am so happy", "--json", "-")
    assert code == 0, err
    (entry,) = json.loads(out)["inputs"]
    assert "face" in entry["present"]
    code, _, err = cli("explain", alone, next(small_corpus.parent.glob("media/*.wav")), "--out", tmp_path / "why.html")
    assert code == 0, err
    assert "happy" in (tmp_path / "why.html").read_text("utf-8")
