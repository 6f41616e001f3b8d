"""Voices and faces by asking a language model: scores against the library's own path, checkpoints, refusals."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers.models.auto.modeling_auto import MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES

from multiemo.encoders.common.language_models import STORED
from multiemo.encoders.common.prompted_media import MediaPrompted
from multiemo.encoders.common.prompts import render
from multiemo.encoders.face.face_prompted import FacePrompted
from multiemo.encoders.speech.speech_prompted import SpeechPrompted
from multiemo.errors import CheckpointError, ConfigError
from multiemo.types import DIMENSIONS
from tests.support.tensors import padded
from tests.support.tiny_language_models import save_language_model
from tests.support.tiny_media_models import save_media_model
from tests.support.tiny_speech import save_model

LABELS = ("neutral", "happy", "sad", "angry", "very sad")
FRAMES, SIDE = 2, 32
#: Older versions of the library build this model whole only.
OMNI = pytest.mark.skipif(
    "qwen2_5_omni_thinker" not in MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES, reason="transformers is older"
)
HEARING = ("qwen2_audio", "audioflamingo3", "qwen2_5_omni")
REQUESTS = {
    "speech": (
        "Listen to this voice. Which one of these words best describes the emotion that the speaker expresses: "
        "neutral, happy, sad, angry, very sad? Answer with this word only."
    ),
    "face": (
        "Look at the face of this person. Which one of these words best describes the emotion that the face expresses: "
        "neutral, happy, sad, angry, very sad? Answer with this word only."
    ),
}


def build(folder: Path, modality: str, **options) -> MediaPrompted:
    given = {"model": str(folder), "labels": LABELS, **options}
    if modality == "speech":
        return SpeechPrompted(**given)
    return FacePrompted(**{"frames": FRAMES, "size": SIDE, **given})


def clips(modality: str) -> list[torch.Tensor]:
    torch.manual_seed(1)
    if modality == "speech":
        return [0.1 * k * torch.randn(samples, 1) for k, samples in enumerate((16000, 9000, 31000), 1)]
    return [torch.randint(0, 256, (frames, 3, SIDE, SIDE), dtype=torch.uint8) for frames in (2, 1, 2)]


def silent(modality: str) -> torch.Tensor:
    if modality == "speech":
        return torch.zeros(2 * 16000, 1)
    return torch.full((1, 3, SIDE, SIDE), 128, dtype=torch.uint8)


def oracle(folder: Path, modality: str, clip: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of the labels by the library alone: one whole text with its clip for each label."""
    processor = transformers.AutoProcessor.from_pretrained(folder)
    processor.tokenizer.pad_token = processor.tokenizer.eos_token
    auto = transformers.AutoModelForSeq2SeqLM if folder.name == "audioflamingo3" else None
    model = (auto or transformers.AutoModelForMultimodalLM).from_pretrained(folder).eval()
    if modality == "speech":
        given, item, count = {"audio": [clip[:, 0].numpy()]}, {"type": "audio"}, 1
    else:
        shown = [clip[0], clip[-1]]
        given = {"images": [Image.fromarray(picture.permute(1, 2, 0).numpy()) for picture in shown]}
        item, count = {"type": "image"}, FRAMES
    if processor.chat_template:
        content = [item] * count + [{"type": "text", "text": REQUESTS[modality]}]
        message = {"role": "user", "content": content}
        prompt, space = processor.apply_chat_template([message], tokenize=False, add_generation_prompt=True), ""
    else:
        prompt, space = f"{'<image>' * count}\n{REQUESTS[modality]}\nAnswer:", " "
    own = {"add_special_tokens": False} if prompt.startswith("<|endoftext|>") else {}
    made = [processor(text=[prompt + space + label], **given, return_tensors="pt", **own) for label in LABELS]
    read = [one["input_ids"][0].tolist() for one in made]
    common = next(i for i, tokens in enumerate(zip(*read, strict=False)) if len(set(tokens)) > 1)
    scores = []
    for ids, inputs in zip(read, made, strict=True):
        with torch.no_grad():
            found = model(**inputs).logits[0].double().log_softmax(-1)
        end = len(ids) - (ids[-1] == processor.tokenizer.eos_token_id)
        scores.append(sum(float(found[i - 1, ids[i]]) for i in range(common, end)))
    return torch.tensor(scores).log_softmax(0)


SLOW = ("audioflamingo3", "qwen2_vl", "idefics3", "gemma3", "llava_framed", "llava_across")


@pytest.mark.parametrize(
    "kind",
    [
        "qwen2_audio",
        "llava",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in SLOW),
        pytest.param("qwen2_5_omni", marks=[pytest.mark.slow, OMNI]),
    ],
)
def test_evidence_equals_complete_passes_of_the_library(kind, tmp_path, monkeypatch):
    folder = save_media_model(tmp_path / kind, kind)
    modality = "speech" if kind in HEARING else "face"
    encoder = build(folder, modality)
    found = encoder(*padded(clips(modality)))
    expected = torch.stack([oracle(folder, modality, clip) for clip in clips(modality)])
    reference = oracle(folder, modality, silent(modality))
    torch.testing.assert_close(found, expected - reference, atol=2e-4, rtol=1e-3)
    assert found.std(0).max() > 0.01  # the clips matter
    assert bool(encoder.shared)
    monkeypatch.setattr("multiemo.encoders.common.prompted_media.shared_scores", unsupported)
    plain = build(folder, modality)
    torch.testing.assert_close(plain(*padded(clips(modality))), found, atol=2e-4, rtol=1e-3)
    assert not plain.shared


def unsupported(*_):
    raise NotImplementedError


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {"speech": save_media_model(root / "hears", "qwen2_audio"), "face": save_media_model(root / "sees", "llava")}


@pytest.fixture(params=["speech", "face"])
def modality(request):
    return request.param


@pytest.fixture
def encoder(folders, modality):
    return build(folders[modality], modality)


def test_neither_padding_nor_the_size_of_the_batch_matters(encoder, modality):
    together = encoder(*padded(clips(modality)))
    for row, clip in enumerate(clips(modality)):
        encoder._kept.clear()
        torch.testing.assert_close(encoder(*padded([clip]))[0], together[row], atol=1e-5, rtol=1e-4)


def test_a_clip_without_content_gives_no_evidence(encoder, modality):
    torch.testing.assert_close(encoder(*padded([silent(modality)])), torch.zeros(1, len(LABELS)), atol=1e-5, rtol=0)


def test_copies_share_the_language_model_and_half_precision_is_close(encoder, modality):
    exact = encoder(*padded(clips(modality)))
    copied = deepcopy(encoder)
    assert copied.backbone is encoder.backbone
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = copied(*padded(clips(modality)))
    assert not torch.equal(half, exact)
    torch.testing.assert_close(half, exact, atol=0.3, rtol=0.1)


def test_a_checkpoint_holds_the_prompt_but_not_the_weights(encoder, modality, folders, tmp_path):
    before = encoder(*padded(clips(modality)))
    encoder.save_assets(tmp_path)
    state = encoder.state_dict()
    assert set(state) == {"reference", "shared", "fingerprint"}
    assert list(encoder.parameters()) == []
    stored = json.loads((tmp_path / STORED).read_text("utf-8"))
    assert REQUESTS[modality] in stored["prompt"]["after"]
    assert stored["files"].keys() >= {"config.json", "model.safetensors", "tokenizer.json", "processor_config.json"}
    again = build("./elsewhere", modality, assets=tmp_path)
    again.load_state_dict(state)
    assert torch.equal(again(*padded(clips(modality))), before)
    (tmp_path / STORED).write_text(json.dumps({**stored, "folder": "/moved"}), "utf-8")
    kind = "qwen2_audio" if modality == "speech" else "llava"
    other = save_media_model(tmp_path / "other", kind, seed=1)
    with pytest.raises(CheckpointError, match=rf"encoders\.{modality}\.model.*model\.safetensors differs"):
        build(other, modality, assets=tmp_path)


def test_chinese(folders, modality):
    encoder = build(folders[modality], modality, labels=("happy", "sad"), language="zh")
    assert encoder.stored.prompt.answers == ("快乐", "悲伤")
    assert "快乐、悲伤" in encoder.stored.prompt.after
    assert encoder(*padded(clips(modality))).isfinite().all()


def test_a_model_without_the_medium_is_refused(folders, modality, tmp_path):
    where = rf"encoders\.{modality}\.model: '.*'"
    better = {"speech": "name an audio-language model", "face": "name a vision-language model"}[modality]
    wrong = folders["face" if modality == "speech" else "speech"]
    medium = {"speech": "audio", "face": "images"}[modality]
    with pytest.raises(ConfigError, match=rf"{where} has a processor that does not take {medium} with text; {better}"):
        build(wrong, modality)
    unbuilt = rf"{where} is a 'qwen2' model, which transformers .* does not build for text with {medium}; {better}"
    with pytest.raises(ConfigError, match=unbuilt):
        build(save_language_model(tmp_path / "words"), modality)
    with pytest.raises(ConfigError, match=rf"{where} is a 'wav2vec2' model.*{better}"):
        build(save_model("wav2vec2-group", tmp_path), modality)
    with pytest.raises(ConfigError, match="valence, arousal and dominance"):
        build(folders[modality], modality, labels=DIMENSIONS)


def test_a_model_without_a_processor_or_some_weights_is_refused(folders, tmp_path):
    folder = save_media_model(tmp_path / "llava", "llava")
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: value for name, value in weights.items() if "lm_head" not in name},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(ConfigError, match=r"lacks the weights of 1 parameters, such as 'lm_head\.weight'"):
        build(folder, "face")
    (folder / "processor_config.json").unlink()
    with pytest.raises(ConfigError, match=r"encoders\.face\.model: .* processor.*name a vision-language model"):
        build(folder, "face")


def test_a_processor_without_a_mark_for_the_medium_is_refused(modality):
    with pytest.raises(ConfigError, match=rf"encoders\.{modality}\.model: .*neither a chat template nor a token"):
        render(object(), modality, LABELS, "en", placeholder="image")


def test_a_processor_that_takes_the_medium_but_ignores_it_is_refused(encoder, modality, monkeypatch):
    made = {"input_ids": torch.ones(1, 3, dtype=torch.long)}
    for result, message in ((made, "ignores"), (None, "does not take .* with text: 'NoneType'")):
        monkeypatch.setattr(type(encoder.processor), "__call__", lambda *_, _result=result, **__: _result)
        with pytest.raises(ConfigError, match=rf"encoders\.{modality}\.model.*{message}"):
            encoder.check_longest(silent(modality))


def test_a_model_that_fails_or_looks_ahead_is_refused(folders, tmp_path, monkeypatch):
    ahead = build(save_media_model(tmp_path / "ahead", "paligemma"), "face")
    with pytest.raises(ConfigError, match=r"encoders\.face\.model.*both directions; name a vision-language model"):
        ahead(*padded(clips("face")))
    with pytest.raises(
        ConfigError, match=r"encoders\.speech\.model.*does not take audio with text: .*apply_chat_template"
    ):
        build(save_media_model(tmp_path / "own", "voxtral"), "speech")
    failing = build(folders["face"], "face")
    monkeypatch.setattr(failing.backbone, "forward", unsupported)
    with pytest.raises(ConfigError, match=r"encoders\.face\.model.*does not answer a prompt with images"):
        failing(*padded(clips("face")))
    overflowing = build(folders["face"], "face")
    with torch.no_grad():
        overflowing.backbone.lm_head.weight.fill_(torch.inf)
    with pytest.raises(ConfigError, match=r"encoders\.face\.model.*no finite probabilities"):
        overflowing(*padded(clips("face")))
    with pytest.raises(ConfigError, match=r"encoders\.face\.model.*can read 1024 tokens, but the prompt has"):
        build(folders["face"], "face", frames=400)


@OMNI
@pytest.mark.slow
def test_the_part_of_an_omni_model_that_answers_is_loaded_alone(tmp_path):
    """As the published folders of Qwen2.5-Omni: one configuration, and weights named after their part."""
    folder = save_media_model(tmp_path / "thinker", "qwen2_5_omni")
    expected = build(folder, "speech")(*padded(clips("speech")))
    thinker = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2_5_omni", "thinker_config": thinker}), "utf-8")
    weights = load_file(folder / "model.safetensors")
    named = {f"thinker.{name}": value for name, value in weights.items()}
    save_file({**named, "talker.unread": torch.ones(1)}, folder / "model.safetensors", metadata={"format": "pt"})
    torch.testing.assert_close(build(folder, "speech")(*padded(clips("speech"))), expected)
