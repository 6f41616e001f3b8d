"""A tiny model folder of every architecture of text models that people use, by name."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from test_text_encoder import SEP, WORDS
from transformers import BertTokenizer

from multiemo.encoders.text_pretrained import TextPretrained

LAYERS = 3
_SIZES = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}
_ENDS = {"pad_token_id": 0, "bos_token_id": 2, "cls_token_id": 2, "eos_token_id": SEP, "sep_token_id": SEP}
ARCHITECTURES = {
    "bert": lambda: transformers.BertConfig(**_SIZES),
    "roberta": lambda: transformers.RobertaConfig(**_SIZES),
    "xlm-roberta": lambda: transformers.XLMRobertaConfig(**_SIZES),
    "modernbert": lambda: transformers.ModernBertConfig(**_SIZES, **_ENDS, local_attention=4),
    "distilbert": lambda: transformers.DistilBertConfig(
        vocab_size=len(WORDS), dim=16, n_layers=LAYERS, n_heads=2, hidden_dim=32, max_position_embeddings=40
    ),
    "electra": lambda: transformers.ElectraConfig(**_SIZES, embedding_size=8),
    "deberta-v2": lambda: transformers.DebertaV2Config(
        **_SIZES,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        norm_rel_ebd="layer_norm",
        position_biased_input=False,
    ),
    "t5": lambda: transformers.T5Config(
        vocab_size=len(WORDS), d_model=16, d_kv=8, d_ff=32, num_layers=LAYERS, num_heads=2
    ),
}
#: Those for which the library has SDPA attention.
SDPA = [name for name in ARCHITECTURES if name != "deberta-v2"]


def save_tiny(folder: Path, name: str) -> Path:
    torch.manual_seed(0)
    transformers.AutoModel.from_config(ARCHITECTURES[name]()).save_pretrained(folder)
    BertTokenizer(vocab={w: i for i, w in enumerate(WORDS)}).save_pretrained(folder)
    return folder


def tiny(folder: Path, name: str, **options) -> TextPretrained:
    return TextPretrained(model=str(save_tiny(folder / name, name)), max_tokens=24, **options)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Utterances with a turn of context, one of them padded."""
    torch.manual_seed(1)
    x = torch.randint(5, len(WORDS), (4, 12))
    x[:, 0], x[:, 6], x[:, -1] = 2, SEP, SEP
    mask = torch.ones(4, 12, dtype=torch.bool)
    mask[1, 7:] = False
    return x.masked_fill(~mask, 0), mask
