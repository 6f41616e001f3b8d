"""Tiny language models with a tokenizer and a chat template, as people name them in a config."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

#: The format of Qwen, SmolLM and others.
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|audio|>", "<|image|>"]
#: Words that become single tokens; other labels take several.
_FREQUENT = ["happy", "sad", " happy", " sad", "neutral", "Speaker", "conversation", " of", " the", "these words"]
_VOCABULARY = 400
_SIZES = {
    "vocab_size": _VOCABULARY,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
DECODER = {**_SIZES, "intermediate_size": 32, "num_key_value_heads": 1, "max_position_embeddings": 1024}

CONFIGS = {
    "qwen2": lambda: transformers.Qwen2Config(**DECODER),
    "llama": lambda: transformers.LlamaConfig(**DECODER),
    "gemma2": lambda: transformers.Gemma2Config(**DECODER, head_dim=8, sliding_window=64),
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=_VOCABULARY, n_embd=16, n_layer=2, n_head=2, n_positions=1024, bos_token_id=0, eos_token_id=0
    ),
    "bloom": lambda: transformers.BloomConfig(**_SIZES),
    "mamba": lambda: transformers.MambaConfig(
        vocab_size=_VOCABULARY, hidden_size=16, num_hidden_layers=2, state_size=4, bos_token_id=0, eos_token_id=2
    ),
    "bert": lambda: transformers.BertConfig(**_SIZES, intermediate_size=32, max_position_embeddings=1024),
}


def tiny_tokenizer(
    *, chat: bool = True, frame: str = "$A", across: Sequence[str] = (), **marks: str
) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer in which a few words, and the given marks by name, are single tokens.

    Args:
        chat: it has a chat template.
        frame: what it adds around a text ``$A``.
        across: longer strings that become single tokens, whatever stands between their words.
        marks: {name: special token}.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not across)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=[*SPECIALS, *marks.values()],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*_FREQUENT, *across] * 5, trainer)
    ids = [(mark, tokenizer.token_to_id(mark)) for mark in SPECIALS]
    tokenizer.post_processor = processors.TemplateProcessing(single=frame, special_tokens=ids)
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=SPECIALS[0],
        eos_token=SPECIALS[2],
        additional_special_tokens=SPECIALS[3:],
        **({"extra_special_tokens": marks} if marks else {}),
    )
    made.chat_template = CHAT if chat else None
    return made


def enlarge(model: Any) -> None:
    """Give the matrices of a model weights large enough that its answers differ clearly."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3)


def save_language_model(folder: Path, kind: str = "qwen2", *, chat: bool = True, seed: int = 0) -> Path:
    """Write a tiny language model of random weights."""
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(CONFIGS[kind](), dtype=torch.float32)
    enlarge(model)
    model.save_pretrained(folder)
    tiny_tokenizer(chat=chat).save_pretrained(folder)
    return folder
