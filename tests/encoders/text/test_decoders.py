"""Decoder language models as text branches, built tiny on the spot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers

from multiemo.encoders.common.lora import Lora
from multiemo.encoders.text.decoders import is_causal, last_utterance_mask
from multiemo.encoders.text.text_pretrained import TextPretrained
from multiemo.errors import ConfigError
from multiemo.preprocess.text import TextPreprocessor
from tests.support.no_sync import no_sync, skip_what_waits
from tests.support.parameters import gradients, names
from tests.support.tiny_decoders import (
    CHATML,
    DECODERS,
    GEMMA,
    LAYERS,
    SIZE,
    TEMPLATES,
    byte_tokenizer,
    decoder,
    padded,
)
from tests.support.tiny_text import ARCHITECTURES, save_bert

TURNS = [(True, "so?"), (False, "no!"), (False, "go on"), (True, "well")]


def rows(encoder, *texts: str, context=()) -> list[torch.Tensor]:
    read = TextPreprocessor.from_pretrained(encoder.input_spec)
    return [read(text, context) for text in texts]


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_is_recognised_and_reads_the_last_token(tmp_path: Path, name):
    encoder = decoder(tmp_path, name)
    assert encoder.input_spec.layout == "utterance_last"
    assert encoder.pooling == "last"
    [ids] = rows(encoder, "Oh no!")
    assert ids.tolist()[-1] == 0  # the end mark, which has seen the utterance
    hidden = encoder.token_states(*padded([ids]))
    torch.testing.assert_close(encoder(*padded([ids]))[0], hidden[0, -1])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_encoder_is_no_decoder(name):
    torch.manual_seed(0)
    built = transformers.AutoModel.from_config(ARCHITECTURES[name]()).eval()
    assert not is_causal(built.get_encoder() if name == "t5" else built)


def test_a_decoder_that_reads_in_both_directions_is_an_encoder():
    config = DECODERS["gemma3"]()
    config.use_bidirectional_attention = True
    assert not is_causal(transformers.AutoModel.from_config(config).eval())


@pytest.mark.parametrize("pooling", ["last", "mean", "attention"])
@pytest.mark.parametrize("name", DECODERS)
def test_the_padding_of_a_batch_changes_nothing(tmp_path: Path, name, pooling):
    encoder = decoder(tmp_path, name, pooling=pooling, context=2)
    clips = [*rows(encoder, "a longer text", "short"), *rows(encoder, "I see", context=TURNS)]
    alone = torch.cat([encoder(*padded([clip])) for clip in clips])
    for filler in (0, 7):
        torch.testing.assert_close(encoder(*padded(clips, filler, width=50)), alone, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(alone[0], alone[1], atol=1e-3)


@pytest.mark.parametrize("name", DECODERS)
def test_the_final_norm_is_applied_and_no_cache_is_kept(tmp_path: Path, name):
    encoder = decoder(tmp_path, name)
    norm = encoder.backbone.ln_f if name == "gpt2" else encoder.backbone.norm
    seen = []
    norm.register_forward_hook(lambda module, given, out: seen.append(out))
    x, mask = padded(rows(encoder, "fine"))
    states = encoder.token_states(x, mask)
    assert torch.equal(states, seen[0])
    assert encoder.backbone(input_ids=x, attention_mask=mask.long()).past_key_values is None


@pytest.mark.parametrize("name", DECODERS)
def test_adapters_train_the_query_and_value_layers(tmp_path: Path, name):
    pytest.importorskip("peft")
    encoder = decoder(tmp_path, name, lora=Lora(rank=2, dropout=0.0))
    x, mask = padded(rows(encoder, "fine"))
    before = encoder(x, mask)
    trained = {n: p for n, p in encoder.named_parameters() if p.requires_grad}
    layers = {n.rpartition(".lora_")[0].rpartition(".")[2] for n in trained}
    assert layers == ({"c_attn"} if name == "gpt2" else {"q_proj", "v_proj"})
    assert len(trained) == 2 * len(layers) * LAYERS
    for parameter in trained.values():
        parameter.data.add_(0.1)
    assert not torch.allclose(encoder(x, mask), before, atol=1e-4)


@pytest.mark.parametrize("name", DECODERS)
def test_every_parameter_is_in_one_group_by_depth(tmp_path: Path, name):
    groups = names(decoder(tmp_path, name, pooling="attention"))
    assert len(groups) == LAYERS + 2
    first, *layers, last = groups
    assert any("wte" in n or "embed_tokens" in n for n in first)
    for index, layer in enumerate(layers):
        assert layer
        assert all(f".{index}." in n for n in layer)
    assert {"pool.score.weight", "pool.score.bias"} < last  # and the final norm


@pytest.mark.parametrize("name", DECODERS)
def test_recomputed_activations_give_the_same_gradients(tmp_path: Path, name):
    encoder = decoder(tmp_path, name).train()
    x, mask = padded(rows(encoder, "fine", "no way"))

    def step() -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        encoder.zero_grad()
        encoder(x, mask).square().sum().backward()
        return gradients(encoder)

    kept = step()
    encoder.recompute_activations()
    for key, value in step().items():
        torch.testing.assert_close(value, kept[key], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("template", [None, CHATML])
@pytest.mark.parametrize("name", DECODERS)
def test_a_training_step_reads_nothing_back(tmp_path: Path, name, template):
    skip_what_waits(name)
    encoder = decoder(tmp_path, name, template, pooling="attention", context=2, max_tokens=100).train()
    x, mask = padded(rows(encoder, "fine", "no way", context=TURNS))
    with no_sync():
        encoder(x, mask).square().sum().backward()


def test_a_frozen_decoder_trains_its_pooling_alone(tmp_path: Path):
    encoder = decoder(tmp_path, freeze=True, pooling="attention")
    assert {n for n, p in encoder.named_parameters() if p.requires_grad} == {"pool.score.weight", "pool.score.bias"}
    assert encoder.token_table().num_embeddings == SIZE


def test_what_a_decoder_cannot_do_is_refused(tmp_path: Path):
    encoder = decoder(tmp_path)
    with pytest.raises(ConfigError, match=r"encoders\.text\.model: a decoder sees only .* objective 'masked'"):
        encoder.masked_task()
    model = str(tmp_path / "qwen2")
    with pytest.raises(ConfigError, match=r"encoders\.text\.pooling: the first token of .* a decoder"):
        TextPretrained(model=model, pooling="cls")
    with pytest.raises(ConfigError, match="max_tokens: 161 exceeds the 160 tokens"):
        TextPretrained(model=model, max_tokens=161)


@pytest.mark.parametrize("prefix", ["", "How does the speaker feel?\n", "query: "])
@pytest.mark.parametrize("template", [None, *TEMPLATES])
def test_the_utterance_is_found_by_the_ids_alone(tmp_path: Path, template, prefix):
    encoder = decoder(
        tmp_path, template=TEMPLATES.get(template), context=4, prefix=prefix, max_tokens=120, pooling="mean"
    )
    assert encoder.input_spec.layout == ("chat" if template else "utterance_last")
    read = TextPreprocessor.from_pretrained(encoder.input_spec)
    cases = [("well", TURNS[:k]) for k in range(5)] + [("long " * 60, TURNS), ("user\n[INST] <|im_end|> :", TURNS)]
    clips = [read(text, context) for text, context in cases]
    assert all(len(clip) <= 120 for clip in clips)
    own = encoder.utterance(*padded(clips))
    for row, clip, (text, context) in zip(own, clips, cases, strict=True):
        assert row[: len(clip)].tolist() == [turn == 0 for turn in read.turns(text, context)]
        assert not row[len(clip) :].any()


def test_without_any_word_of_the_utterance_the_last_token_is_pooled(tmp_path: Path):
    encoder = decoder(tmp_path, pooling="attention")
    x, mask = padded(rows(encoder, "fine"))
    mask[:, :-1] = False
    assert encoder(x, mask).isfinite().all()
    assert last_utterance_mask(x, mask, encoder.place).tolist() == mask.tolist()


@pytest.mark.parametrize("template", [None, CHATML, GEMMA])
def test_rebuilt_from_assets_with_pooling_and_layout(tmp_path: Path, template):
    first = decoder(tmp_path, template=template, context=2, prefix="query: ", max_tokens=100)
    read = TextPreprocessor.from_pretrained(first.input_spec)
    first.save_assets(tmp_path / "assets")
    read.save(tmp_path / "assets")
    again = TextPretrained(
        model=first.input_spec.tokenizer, context=2, prefix="query: ", max_tokens=100, assets=tmp_path / "assets"
    ).eval()
    again.load_state_dict(first.state_dict())
    assert (again.pooling, again.input_spec, again.place) == (first.pooling, first.input_spec, first.place)
    ids = TextPreprocessor.from_assets(again.input_spec, tmp_path / "assets")("well", TURNS)
    assert torch.equal(ids, read("well", TURNS))
    assert torch.equal(again(*padded([ids])), first(*padded([ids])))
    assert again.backbone.config.use_cache is False


def test_a_decoder_of_an_earlier_version_reads_as_before(tmp_path: Path):
    """Its folder has no notes: the utterance comes first, and the mean is pooled."""
    first = decoder(tmp_path, "gpt2")
    first.save_assets(tmp_path / "assets")
    file = tmp_path / "assets" / "config.json"
    values = {k: v for k, v in json.loads(file.read_text()).items() if not k.startswith("multiemo")}
    file.write_text(json.dumps(values))
    old = TextPretrained(model="gone/model", max_tokens=60, assets=tmp_path / "assets").eval()
    old.load_state_dict(first.state_dict())
    assert (old.pooling, old.input_spec.layout) == ("mean", "utterance_first")
    [ids] = rows(first, "fine")
    torch.testing.assert_close(old(*padded([ids]))[0], first.token_states(*padded([ids]))[0].mean(0))


def multimodal(name: str):
    text = {k: v for k, v in DECODERS["qwen2"]().to_dict().items() if k not in ("model_type", "architectures")}
    vision = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
    if name == "gemma3":
        vision |= {"num_hidden_layers": 1, "image_size": 28, "patch_size": 14}
        return transformers.Gemma3Config(text_config=DECODERS["gemma3"]().to_dict(), vision_config=vision)
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}
    text = {**text, "rope_parameters": rope}
    return transformers.Qwen2_5_VLConfig(
        text_config=text, vision_config={**vision, "depth": 1, "num_heads": 2, "out_hidden_size": 16}
    )


@pytest.mark.parametrize("name", ["gemma3", "qwen2.5-vl"])
def test_the_language_model_of_a_multimodal_one_is_used(tmp_path: Path, name):
    torch.manual_seed(0)
    whole = transformers.AutoModel.from_config(multimodal(name)).eval()
    whole.save_pretrained(tmp_path / name)
    byte_tokenizer().save_pretrained(tmp_path / name)
    encoder = TextPretrained(model=str(tmp_path / name), max_tokens=40).eval()
    assert encoder.pooling == "last"
    assert not [n for n, _ in encoder.named_parameters() if "vis" in n]
    x, mask = padded(rows(encoder, "fine", "oh really?"))
    expected = whole(input_ids=x, attention_mask=mask.long()).last_hidden_state
    torch.testing.assert_close(encoder.token_states(x, mask)[mask], expected[mask], atol=1e-5, rtol=1e-4)
    encoder.save_assets(tmp_path / "assets")
    again = TextPretrained(model="gone/model", max_tokens=40, assets=tmp_path / "assets").eval()
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(again(x, mask), encoder(x, mask))


def test_a_multimodal_model_without_a_usable_text_part_is_refused(tmp_path: Path):
    config = transformers.GroupViTConfig(
        text_config={"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32},
        vision_config={
            "hidden_size": 16,
            "num_attention_heads": 2,
            "depths": [1],
            "num_group_tokens": [4],
            "num_output_groups": [4],
        },
    )
    transformers.GroupViTModel(config).save_pretrained(tmp_path / "group")
    byte_tokenizer().save_pretrained(tmp_path / "group")
    with pytest.raises(ConfigError, match="is a 'groupvit' model, whose text part cannot be used by itself"):
        TextPretrained(model=str(tmp_path / "group"), max_tokens=12)


def test_a_prefix_is_read_but_not_pooled(tmp_path: Path):
    model = str(save_bert(tmp_path / "bert"))
    plain, asked = (TextPretrained(model=model, max_tokens=12, prefix=p).eval() for p in ("", "self: "))
    [ids] = rows(asked, "good day")
    assert ids.tolist() == [2, 8, 10, 5, 6, 3]  # [CLS] self : good day [SEP]
    assert asked.utterance(*padded([ids])).tolist() == [[True, False, False, True, True, True]]
    own = asked.token_states(*padded([ids]))[0, [0, 3, 4, 5]]
    torch.testing.assert_close(asked(*padded([ids]))[0], own.mean(0))
    assert not torch.allclose(asked(*padded([ids])), plain(*padded(rows(plain, "good day"))), atol=1e-3)
