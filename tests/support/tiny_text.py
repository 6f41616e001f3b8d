"""Tiny model folders of text models: every architecture that people use, by name, and ours from scratch."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    GPT2Config,
    GPT2Model,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5Model,
)

from multiemo.encoders.text.text_pretrained import TextPretrained
from multiemo.encoders.text.text_transformer import TextTransformer
from multiemo.types import TEXT_SPECIALS

LAYERS = 3
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "day", "bad", "self", "other", ":"]
SEP = TEXT_SPECIALS.index("[SEP]")
SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}

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


def save_bert(folder: Path) -> Path:
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(WORDS), **SMALL)).save_pretrained(folder)
    BertTokenizer(vocab={w: i for i, w in enumerate(WORDS)}).save_pretrained(folder)
    return folder


def save_roberta(folder: Path) -> Path:
    torch.manual_seed(0)
    RobertaModel(RobertaConfig(vocab_size=300, pad_token_id=1, **SMALL)).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=_bytes_tokenizer(), bos_token="<s>", eos_token="</s>", sep_token="</s>", pad_token="<pad>"
    ).save_pretrained(folder)
    return folder


def save_t5(folder: Path) -> Path:
    torch.manual_seed(0)
    config = T5Config(vocab_size=300, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
    T5Model(config).save_pretrained(folder)
    # No pad token: nothing needs one, the mask says what is real.
    PreTrainedTokenizerFast(tokenizer_object=_bytes_tokenizer(), eos_token="</s>").save_pretrained(folder)
    return folder


def save_gpt2(folder: Path) -> Path:
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=300, n_embd=16, n_layer=2, n_head=2, n_positions=40, bos_token_id=2, eos_token_id=2)
    GPT2Model(config).save_pretrained(folder)
    # One token for everything, as GPT-2 has it; neither the tokenizer nor the model knows of padding.
    PreTrainedTokenizerFast(
        tokenizer_object=_bytes_tokenizer(), bos_token="</s>", eos_token="</s>", unk_token="</s>"
    ).save_pretrained(folder)
    return folder


def _bytes_tokenizer():
    letters = {t: i for i, t in enumerate(["<s>", "<pad>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    tokenizer = Tokenizer(models.BPE(vocab=letters, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


SAVERS = {"bert": save_bert, "roberta": save_roberta, "t5": save_t5, "gpt2": save_gpt2}


def scratch(**options) -> TextTransformer:
    torch.manual_seed(0)
    small = {
        "dim": 16,
        "heads": 2,
        "ngram_dim": 8,
        "ngram_buckets": 64,
        "ngram_dropout": 0.0,
        "vocab_size": 600,
        "max_tokens": 24,
    }
    return TextTransformer(**{**small, **options})


def tokens(rows: int = 3, length: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    x = torch.randint(len(TEXT_SPECIALS), 11, (rows, length))
    x[:, 0], x[:, -1] = 2, SEP
    return x, torch.ones(rows, length, dtype=torch.bool)
