"""Tiny model folders of decoder language models, with chat templates as published models have them."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from multiemo.encoders.text.text_pretrained import TextPretrained

LAYERS = 2
MARKS = ["<|end|>", "<bos>", "<|im_start|>", "<|im_end|>", "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]"]
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
SIZE = len(MARKS) + len(BYTES)

_SIZES = {
    "vocab_size": SIZE,
    "hidden_size": 16,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "intermediate_size": 32,
    "max_position_embeddings": 160,
    "pad_token_id": None,
    "bos_token_id": 1,
    "eos_token_id": 0,
}

DECODERS = {
    "qwen2": lambda: transformers.Qwen2Config(**_SIZES),
    "qwen3": lambda: transformers.Qwen3Config(**_SIZES),
    "llama": lambda: transformers.LlamaConfig(**_SIZES),
    "mistral": lambda: transformers.MistralConfig(**_SIZES, sliding_window=6),
    "gemma2": lambda: transformers.Gemma2Config(**_SIZES, sliding_window=6, query_pre_attn_scalar=8),
    "gemma3": lambda: transformers.Gemma3TextConfig(**_SIZES, sliding_window=6, query_pre_attn_scalar=8),
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=SIZE, n_embd=16, n_layer=LAYERS, n_head=2, n_positions=160, bos_token_id=0, eos_token_id=0
    ),
}

#: Chat templates of the model families, shortened to what they do with turns.
CHATML = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
    "<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n{{ m['content'] | trim }}<end_of_turn>\n"
    "{% endfor %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
    "{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]{% else %} {{ m['content'] }}<|end|>{% endif %}"
    "{% endfor %}"
)
TEMPLATES = {"chatml": CHATML, "gemma": GEMMA, "mistral": MISTRAL}


def byte_tokenizer(template: str | None = None) -> PreTrainedTokenizerFast:
    """A token for each byte; no pad token, and nothing added to a text."""
    tokens = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate([*MARKS, *BYTES])}, merges=[]))
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokens, eos_token=MARKS[0], bos_token=MARKS[1], additional_special_tokens=MARKS[2:]
    )
    made.chat_template = template
    return made


def save_decoder(folder: Path, name: str = "qwen2", template: str | None = None) -> Path:
    torch.manual_seed(0)
    config = DECODERS[name]()
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    byte_tokenizer(template).save_pretrained(folder)
    return folder


def decoder(folder: Path, name: str = "qwen2", template: str | None = None, **options) -> TextPretrained:
    model = save_decoder(folder / name, name, template)
    return TextPretrained(model=str(model), **{"max_tokens": 60, **options}).eval()


def padded(rows: list[torch.Tensor], filler: int = 0, width: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of token ids padded on the right with any id."""
    width = max([width, *map(len, rows)])
    x = torch.full((len(rows), width), filler)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for at, row in enumerate(rows):
        x[at, : len(row)], mask[at, : len(row)] = row, True
    return x, mask
