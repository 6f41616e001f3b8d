"""Log-probabilities that a language model gives to a few fixed answers after a prompt."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

#: Most prompt tokens in one pass.
_PASS_TOKENS = 4096
#: {argument of a language model with one value per token: its value for a token of text}.
PER_TOKEN = {"attention_mask": 1, "token_type_ids": 0, "mm_token_type_ids": 0}


def plain_scores(model: Any, prompt: Mapping[str, Tensor], answers: Sequence[Sequence[int]]) -> Tensor:
    """Score one prompt with one full pass per answer: without padding and without a cache.

    Args:
        model: a causal language model.
        prompt: its arguments for a single prompt: ``input_ids`` ``[1, L]`` and, for other modalities, their features.
        answers: token ids of each of the C answers.

    Returns:
        ``[C]`` float32, the log-probability of all tokens of each answer given the prompt.
    """
    length = prompt["input_ids"].shape[1]
    scores = []
    for answer in answers:
        tokens = torch.tensor(answer, device=prompt["input_ids"].device)
        logits = model(**extended(prompt, tokens), use_cache=False).logits[0]
        found = logits[length - 1 : -1].float().log_softmax(-1)
        scores.append(found.gather(1, tokens[:, None]).sum())
    return torch.stack(scores)


def shared_scores(model: Any, prompt: Mapping[str, Tensor], answers: Sequence[Sequence[int]]) -> Tensor:
    """Score prompts in one pass; the further tokens of longer answers are read in a second one that reuses the cache.

    The results are those of :func:`plain_scores` for architectures that support a cache and padding on the left.

    Args:
        model: a causal language model.
        prompt: its arguments: ``input_ids`` ``[B, L]``, padded on the left, ``attention_mask`` ``[B, L]``, and, for a
            single prompt of other modalities, their features.
        answers: token ids of each of the C answers.

    Returns:
        ``[B, C]`` float32.
    """
    accepts = inspect.signature(model.forward).parameters
    mask = prompt["attention_mask"]
    padded = len(mask) > 1  # a single prompt has no padding, and its model knows the positions best
    options: dict[str, Any] = {"logits_to_keep": 1} if "logits_to_keep" in accepts else {}
    if padded and "position_ids" in accepts:
        options["position_ids"] = (mask.cumsum(1) - 1).clamp_min(0)
    output = model(**prompt, use_cache=True, **options)
    first: Tensor = output.logits[:, -1].float().log_softmax(-1)
    scores = first[:, [answer[0] for answer in answers]]
    longer = [c for c, answer in enumerate(answers) if len(answer) > 1]
    if not longer:
        return scores
    read = [answers[c][:-1] for c in longer]
    steps = max(map(len, read))
    rows, device = len(scores), scores.device
    tokens = torch.tensor([[*ids, *[0] * (steps - len(ids))] for ids in read], device=device)
    following = torch.tensor([[*answers[c][1:], *[0] * (steps - len(answers[c]) + 1)] for c in longer], device=device)
    real = torch.tensor([[step < len(ids) for step in range(steps)] for ids in read], device=device)
    named = "cache" if "cache" in accepts else "past_key_values"  # renamed during version 5 of the library
    cache = output[named]
    cache.batch_repeat_interleave(len(longer))
    options = {named: cache}
    if padded:
        repeated = mask.repeat_interleave(len(longer), 0)
        options["attention_mask"] = torch.cat([repeated, torch.ones_like(repeated[:, :1]).expand(-1, steps)], 1)
        if "position_ids" in accepts:
            options["position_ids"] = repeated.sum(1, keepdim=True) + torch.arange(steps, device=device)
    logits = model(input_ids=tokens.repeat(rows, 1), use_cache=True, **options).logits
    found: Tensor = logits.float().log_softmax(-1).gather(2, following.repeat(rows, 1)[..., None]).squeeze(2)
    rest = (found.view(rows, len(longer), steps) * real).sum(2)
    return scores.index_add(1, torch.tensor(longer, device=device), rest)


def text_scores(
    model: Any,
    prompts: Sequence[Sequence[int]],
    answers: Sequence[Sequence[int]],
    *,
    shared: bool,
    device: torch.device,
) -> Tensor:
    """Score prompts of token ids.

    Args:
        model: a causal language model on ``device``.
        prompts: token ids of each of the N prompts.
        answers: token ids of each of the C answers.
        shared: use :func:`shared_scores`, not :func:`plain_scores`.
        device: device of the model.

    Returns:
        ``[N, C]`` float32.
    """
    if not shared:
        rows = [torch.tensor([ids], device=device) for ids in prompts]
        return torch.stack([plain_scores(model, {"input_ids": ids}, answers) for ids in rows])
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    scores: dict[int, Tensor] = {}
    while order:
        longest = len(prompts[order[-1]])
        chosen = order[-max(1, _PASS_TOKENS // longest) :]
        del order[-len(chosen) :]
        padding = [longest - len(prompts[i]) for i in chosen]
        ids = torch.tensor([[0] * pad + list(prompts[i]) for i, pad in zip(chosen, padding, strict=True)])
        mask = torch.tensor([[0] * pad + [1] * (longest - pad) for pad in padding])
        found = shared_scores(model, {"input_ids": ids.to(device), "attention_mask": mask.to(device)}, answers)
        scores.update(zip(chosen, found, strict=True))
    return torch.stack([scores[i] for i in range(len(prompts))])


def extended(prompt: Mapping[str, Tensor], tokens: Tensor) -> dict[str, Tensor]:
    """The arguments for a single prompt that goes on with ``[K]`` further tokens of text."""
    longer = {"input_ids": torch.cat([prompt["input_ids"], tokens[None]], 1)}
    for name, value in PER_TOKEN.items():
        if name in prompt:
            longer[name] = torch.cat([prompt[name], torch.full_like(tokens[None], value)], 1)
    return {**prompt, **longer}
