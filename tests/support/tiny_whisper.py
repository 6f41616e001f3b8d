"""A tiny Whisper that says what it is told, saved as a user would have it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import transformers
from tokenizers import AddedToken
from tokenizers.pre_tokenizers import ByteLevel

TASKS = ("translate", "transcribe")


def save_whisper(
    folder: Path,
    script: Sequence[str | float],
    *,
    languages: Sequence[str] = ("en", "zh"),
    spoken: str = "<|zh|>",
    with_times: bool = True,
    strength: float = 20.0,
) -> Path:
    """A model that writes ``script`` down in every window, whatever it hears.

    Its decoder looks at nothing but the position: the embedding of position p points to the token to come.

    Args:
        script: texts, and times as numbers.
        languages: none for an English-only model.
        spoken: the token that it finds likeliest at the place where the language is.
        with_times: whether it knows which tokens are times.
        strength: of its opinion; 0 for none.
    """
    tokenizer = _tokenizer(languages)
    ids = tokenizer.convert_tokens_to_ids
    end, start = ids("<|endoftext|>"), ids("<|startoftranscript|>")
    config = transformers.WhisperConfig(
        d_model=64, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=32, decoder_ffn_dim=32, vocab_size=len(tokenizer), max_target_positions=64, pad_token_id=end,
        bos_token_id=end, eos_token_id=end, decoder_start_token_id=start,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.WhisperForConditionalGeneration(config)
    tokens: list[int] = []
    for part in script:
        is_text = isinstance(part, str)
        tokens += tokenizer(part, add_special_tokens=False).input_ids if is_text else [ids(f"<|{part:.2f}|>")]
    first = 2 if languages else 0  # the last of the tokens that it is made to begin with
    with torch.no_grad():
        decoder = model.model.decoder
        for layer in decoder.layers:
            for part in (layer.self_attn.out_proj, layer.encoder_attn.out_proj, layer.fc2):
                part.weight.zero_()
                part.bias.zero_()
        words = decoder.embed_tokens.weight
        words.copy_(3 * torch.nn.functional.normalize(torch.randn_like(words), dim=1))
        decoder.embed_positions.weight.copy_(strength * words[end].expand(64, -1))
        decoder.embed_positions.weight[first : first + len(tokens)] = strength * words[tokens]
        if languages:
            decoder.embed_positions.weight[0] = 20 * words[ids(spoken)]
    settings = {"suppress_tokens": [], "begin_suppress_tokens": [], "max_length": 64}
    settings["is_multilingual"] = bool(languages)
    if languages:
        settings["lang_to_id"] = {f"<|{code}|>": ids(f"<|{code}|>") for code in languages}
        settings["task_to_id"] = {task: ids(f"<|{task}|>") for task in TASKS}
    if with_times:
        settings |= {"no_timestamps_token_id": ids("<|notimestamps|>"), "max_initial_timestamp_index": 50}
    model.generation_config = transformers.GenerationConfig(
        pad_token_id=end, bos_token_id=end, eos_token_id=end, decoder_start_token_id=start, **settings
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    transformers.WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    return folder


def _tokenizer(languages: Sequence[str]) -> transformers.WhisperTokenizer:
    """Of bytes, with Whisper's own special tokens in their order."""
    vocabulary = {letter: i for i, letter in enumerate([*sorted(ByteLevel.alphabet()), "<|endoftext|>"])}
    special = ["startoftranscript", *languages, *TASKS, "startoflm", "startofprev", "nospeech", "notimestamps"]
    tokenizer = transformers.WhisperTokenizer(
        vocab=vocabulary, merges=[], additional_special_tokens=[f"<|{name}|>" for name in special]
    )
    tokenizer.add_tokens([AddedToken(f"<|{0.02 * i:.2f}|>", normalized=False) for i in range(1501)])
    return tokenizer
