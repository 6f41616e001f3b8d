"""Tiny random speech models of every kind, saved as a user would have them, and clips to feed them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor

from multiemo.encoders.base import Encoder
from multiemo.encoders.speech.speech_pretrained import SpeechPretrained
from multiemo.registry import encoders
from multiemo.types import PROSODY_CHANNELS
from tests.support.tensors import padded

P = len(PROSODY_CHANNELS)
WAVE = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "conv_dim": (8, 8, 8), "conv_kernel": (10, 3, 3), "conv_stride": (5, 4, 4), "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2, "vocab_size": 8,
}  # fmt: skip
BERT = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 8,
}  # fmt: skip
WHISPER = {
    "d_model": 16, "encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "num_mel_bins": 80, "vocab_size": 64, "max_target_positions": 8,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1,
}  # fmt: skip
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2-group": ("Wav2Vec2", {**WAVE, "feat_extract_norm": "group"}),
    "wav2vec2-layer": ("Wav2Vec2", {**WAVE, "feat_extract_norm": "layer", "do_stable_layer_norm": True}),
    "hubert": ("Hubert", WAVE),
    "wavlm": ("WavLM", {**WAVE, "num_buckets": 8}),
    "data2vec-audio": ("Data2VecAudio", {**WAVE, "num_conv_pos_embeddings": 2, "conv_pos_kernel_size": 3}),
    "wav2vec2-bert": ("Wav2Vec2Bert", BERT),
    "whisper": ("Whisper", WHISPER),
    "unispeech": ("UniSpeech", WAVE),
    "unispeech-sat": ("UniSpeechSat", WAVE),
    "sew": ("SEW", {**WAVE, "squeeze_factor": 2}),
    "sew-d": ("SEWD", {**WAVE, "squeeze_factor": 2, "max_position_embeddings": 64, "position_buckets": 16}),
    "wav2vec2-conformer": (
        "Wav2Vec2Conformer",
        {**WAVE, "conv_depthwise_kernel_size": 3, "position_embeddings_type": "rotary"},
    ),
}
#: The architectures that differ in how their input is made, masked and attended to.
FAMILIES = ["wav2vec2-group", "wav2vec2-layer", "hubert", "wavlm", "whisper", "wav2vec2-bert"]


def save_model(kind: str, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    name, options = KINDS[kind]
    config = getattr(transformers, f"{name}Config")(**options)
    folder = tmp_path / kind
    getattr(transformers, f"{name}Model")(config).save_pretrained(str(folder))
    if kind == "whisper":
        transformers.WhisperFeatureExtractor(feature_size=80).save_pretrained(str(folder))
    elif kind == "wav2vec2-bert":
        transformers.SeamlessM4TFeatureExtractor().save_pretrained(str(folder))
    else:
        transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(str(folder))
    return folder


def assert_trains(encoder: Encoder, x: Tensor, mask: Tensor) -> None:
    encoder.train()
    embedding = encoder(x, mask)
    assert embedding.shape == (len(x), encoder.out_dim)
    (embedding * torch.randn_like(embedding)).sum().backward()
    without = [n for n, p in encoder.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert without == []


def assert_blind_to_padding(encoder: Encoder, clips: list[Tensor], atol: float) -> None:
    encoder.eval()
    with torch.no_grad():
        together = encoder(*padded(clips, extra=5))
        alone = torch.cat([encoder(*padded([clip])) for clip in clips])
    torch.testing.assert_close(together, alone, atol=atol, rtol=0)
    assert (alone[0] - alone[1]).abs().max() > 100 * atol, "two clips look the same, so the test would see nothing"


def build(kind: str, tmp_path: Path, rate: int | None = None, **options: Any) -> SpeechPretrained:
    folder = save_model(kind, tmp_path)
    if rate is not None:
        transformers.Wav2Vec2FeatureExtractor(sampling_rate=rate).save_pretrained(str(folder))
    encoder = encoders.build("speech_pretrained", {"model": str(folder), "out_dim": 12, **options}, where="x")
    assert isinstance(encoder, SpeechPretrained)
    return encoder


def voice(seconds: float, rate: int, pitch: float) -> Any:
    t = np.arange(round(seconds * rate)) / rate
    f0 = pitch * (1 + 0.2 * np.sin(2 * np.pi * 1.5 * t))
    phase = 2 * np.pi * np.cumsum(f0) / rate
    wave = sum(np.sin(k * phase) / k for k in range(1, 6)) * (0.1 + 0.05 * np.sin(2 * np.pi * 3 * t))
    return wave.astype(np.float32)
