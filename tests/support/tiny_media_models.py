"""Tiny audio-language and vision-language models with their processors, as people name them in a config."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.support.tiny_language_models import CHAT, DECODER, enlarge, tiny_tokenizer

#: The format of Qwen and others, for messages of several items; ``MARKS`` stand for a clip.
_MEDIA_CHAT = CHAT.replace(
    "{{ m.content }}",
    "{% for c in m.content %}{% if c.type == 'text' %}{{ c.text }}{% else %}MARKS{% endif %}{% endfor %}",
)
_AUDIO = {"audio_token": "<|AUDIO|>", "audio_bos_token": "<|audio_bos|>", "audio_eos_token": "<|audio_eos|>"}
_VISION = {
    "image_token": "<|image_pad|>", "video_token": "<|video_pad|>", "vision_bos_token": "<|vision_start|>",
    "vision_eos_token": "<|vision_end|>",
}  # fmt: skip
#: Seconds that the tiny models hear.
SECONDS = 2
_HEARING = {
    "num_mel_bins": 16, "d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 32,
    "max_source_positions": 50 * SECONDS,
}  # fmt: skip
_SEEING = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 16,
    "patch_size": 8,
}  # fmt: skip
#: Rotary positions in time, height and width.
_ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}


def _template(marks: str) -> str:
    return _MEDIA_CHAT.replace("MARKS", marks)


def _extractor() -> Any:
    return transformers.WhisperFeatureExtractor(feature_size=16, chunk_length=SECONDS)


def _patches() -> Any:
    """Scales pictures to 16 x 16 pixels and cuts them into 4 patches, which become one token."""
    return transformers.Qwen2VLImageProcessor(patch_size=8, merge_size=2, min_pixels=256, max_pixels=256)


def qwen2_audio() -> tuple[Any, Any]:
    tokenizer = tiny_tokenizer(**_AUDIO)
    template = _template("Audio: <|audio_bos|><|AUDIO|><|audio_eos|>\n")
    config = transformers.Qwen2AudioConfig(
        audio_config={**_HEARING, "model_type": "qwen2_audio_encoder"},
        text_config={**DECODER, "model_type": "qwen2"},
        audio_token_index=tokenizer.audio_token_id,
    )
    processor = transformers.Qwen2AudioProcessor(_extractor(), tokenizer, chat_template=template)
    return transformers.Qwen2AudioForConditionalGeneration(config), processor


def audioflamingo3() -> tuple[Any, Any]:
    tokenizer = tiny_tokenizer(audio_token="<sound>")
    hearing = {
        "num_mel_bins": 16, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 32, "max_source_positions": 50 * SECONDS, "model_type": "audioflamingo3_encoder",
    }  # fmt: skip
    config = transformers.AudioFlamingo3Config(
        audio_config=hearing,
        text_config={**DECODER, "model_type": "qwen2"},
        audio_token_id=tokenizer.audio_token_id,
    )
    processor = transformers.AudioFlamingo3Processor(_extractor(), tokenizer, chat_template=_template("<sound>"))
    return transformers.AudioFlamingo3ForConditionalGeneration(config), processor


def voxtral() -> tuple[Any, Any]:
    """Its processor takes sound only through a template of its own."""
    hearing = {
        "num_mel_bins": 16, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 64, "max_source_positions": 50 * SECONDS, "model_type": "voxtral_encoder",
    }  # fmt: skip
    config = transformers.VoxtralConfig(audio_config=hearing, text_config={**DECODER, "model_type": "llama"})
    processor = transformers.VoxtralProcessor(_extractor(), tiny_tokenizer(chat=False))
    return transformers.VoxtralForConditionalGeneration(config), processor


def qwen2_5_omni() -> tuple[Any, Any]:
    """Only the part that answers with text."""
    tokenizer = tiny_tokenizer(**_AUDIO, **_VISION)
    template = _template("<|audio_bos|><|AUDIO|><|audio_eos|>")
    processor = transformers.Qwen2_5OmniProcessor(
        _patches(), transformers.Qwen2VLVideoProcessor(), _extractor(), tokenizer, chat_template=template
    )
    config = transformers.Qwen2_5OmniThinkerConfig(
        audio_config={**_HEARING, "n_window": 25, "output_dim": 16},
        vision_config={"depth": 1, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 16},
        text_config={**DECODER, "rope_parameters": _ROPE},
        audio_token_index=tokenizer.audio_token_id,
        image_token_index=tokenizer.image_token_id,
        video_token_index=tokenizer.video_token_id,
        audio_start_token_id=tokenizer.audio_bos_token_id,
        audio_end_token_id=tokenizer.audio_eos_token_id,
        vision_start_token_id=tokenizer.vision_bos_token_id,
        vision_end_token_id=tokenizer.vision_eos_token_id,
    )
    return transformers.Qwen2_5OmniThinkerForConditionalGeneration(config), processor


def qwen2_vl() -> tuple[Any, Any]:
    tokenizer = tiny_tokenizer(**_VISION)
    template = _template("<|vision_start|><|image_pad|><|vision_end|>")
    processor = transformers.Qwen2VLProcessor(
        _patches(), tokenizer, transformers.Qwen2VLVideoProcessor(), chat_template=template
    )
    config = transformers.Qwen2VLConfig(
        vision_config={"depth": 1, "embed_dim": 16, "hidden_size": 16, "num_heads": 2, "patch_size": 8},
        text_config={**DECODER, "model_type": "qwen2_vl_text", "rope_parameters": _ROPE},
        image_token_id=tokenizer.image_token_id,
        video_token_id=tokenizer.video_token_id,
        vision_start_token_id=tokenizer.vision_bos_token_id,
        vision_end_token_id=tokenizer.vision_eos_token_id,
    )
    return transformers.Qwen2VLForConditionalGeneration(config), processor


def idefics3() -> tuple[Any, Any]:
    marks = {"tile": "<row_1_col_1>", "whole": "<global-img>", "around": "<fake_token_around_image>"}
    tokenizer = tiny_tokenizer(image_token="<image>", end="<end_of_utterance>", **marks)
    side = {"longest_edge": 32}
    pictures = transformers.Idefics3ImageProcessor(size=side, max_image_size=side, do_image_splitting=False)
    processor = transformers.Idefics3Processor(pictures, tokenizer, image_seq_len=1, chat_template=_template("<image>"))
    config = transformers.Idefics3Config(
        vision_config={**_SEEING, "image_size": 32, "patch_size": 16},
        text_config={**DECODER, "model_type": "llama"},
        image_token_id=processor.image_token_id,
        pad_token_id=0,
    )
    return transformers.Idefics3ForConditionalGeneration(config), processor


def gemma3() -> tuple[Any, Any]:
    """Tokens of one picture see each other in both directions, and the template writes the token before a text."""
    marks = {"image_token": "<soft>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
    tokenizer = tiny_tokenizer(frame="<|endoftext|> $A", **marks)
    pictures = transformers.Gemma3ImageProcessor(size={"height": 16, "width": 16})
    processor = transformers.Gemma3Processor(
        pictures, tokenizer, image_seq_length=4, chat_template="<|endoftext|>" + _template("<start_of_image>")
    )
    config = transformers.Gemma3Config(
        vision_config={**_SEEING, "model_type": "siglip_vision_model"},
        text_config={**DECODER, "head_dim": 8},
        mm_tokens_per_image=4,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        image_token_index=tokenizer.image_token_id,
    )
    return transformers.Gemma3ForConditionalGeneration(config), processor


def llava(**options: Any) -> tuple[Any, Any]:
    """Without a chat template."""
    tokenizer = tiny_tokenizer(chat=False, image_token="<image>", **options)
    pictures = transformers.CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    processor = transformers.LlavaProcessor(
        pictures, tokenizer, patch_size=8, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )
    config = transformers.LlavaConfig(
        vision_config={**_SEEING, "model_type": "clip_vision_model", "projection_dim": 16},
        text_config={**DECODER, "model_type": "llama"},
        image_token_index=tokenizer.image_token_id,
    )
    return transformers.LlavaForConditionalGeneration(config), processor


def llava_framed() -> tuple[Any, Any]:
    """Its tokenizer adds a token before and after every text."""
    return llava(frame="<|endoftext|> $A <|im_end|>")


def llava_across() -> tuple[Any, Any]:
    """A token of its answer reaches into the prompt."""
    return llava(across=["Answer: happy"])


def paligemma() -> tuple[Any, Any]:
    """Reads the whole prompt in both directions."""
    tokenizer = tiny_tokenizer(chat=False, image_token="<image>")
    pictures = transformers.SiglipImageProcessor(size={"height": 16, "width": 16})
    pictures.image_seq_length = 4
    config = transformers.PaliGemmaConfig(
        vision_config={**_SEEING, "model_type": "siglip_vision_model", "projection_dim": 16},
        text_config={**DECODER, "model_type": "gemma", "head_dim": 8},
        image_token_index=tokenizer.image_token_id,
        projection_dim=16,
        hidden_size=16,
    )
    return transformers.PaliGemmaForConditionalGeneration(config), transformers.PaliGemmaProcessor(pictures, tokenizer)


KINDS: dict[str, Callable[[], tuple[Any, Any]]] = {
    maker.__name__: maker
    for maker in (
        *(qwen2_audio, audioflamingo3, qwen2_5_omni, voxtral),
        *(qwen2_vl, idefics3, gemma3, llava, llava_framed, llava_across, paligemma),
    )
}


def save_media_model(folder: Path, kind: str, seed: int = 0) -> Path:
    """Write a tiny model of random weights and its processor."""
    torch.manual_seed(seed)
    model, processor = KINDS[kind]()
    enlarge(model)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
