"""Text by asking a language model, without training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from multiemo.encoders.common.label_scores import plain_scores, text_scores
from multiemo.encoders.common.language_models import find_folder, load_language_model, model_class, record_of
from multiemo.encoders.common.prompted import PromptedEncoder, agree, dimensions_error
from multiemo.encoders.common.prompts import TURNS, answer_ids, render, token_ids
from multiemo.encoders.text.turns import TurnSplitter
from multiemo.errors import ConfigError, first_line
from multiemo.labels.words import Language
from multiemo.registry import Size, encoders
from multiemo.types import DIMENSIONS, TextSpec

_WHERE = "encoders.text"
#: Content-free inputs of Zhao et al. 2021, whose probabilities are averaged.
_CONTENT_FREE = ("N/A", "[MASK]", "")


@encoders.register("text_prompted", modality="text")
class TextPrompted(PromptedEncoder):
    """Asks any causal language model of the transformers library which label fits the words.

    The prompt is fixed, and uses the model's chat template if there is one. Nothing is trained, and the checkpoint
    refers to the model by its name and the digests of its files.

    Args:
        model: a model folder, ``package:NAME`` for one inside an installed package, or the name of a hub model
            ("Qwen/Qwen2.5-0.5B-Instruct").
        language: language of the prompt and of the words for the labels.
        max_tokens: most tokens of the words and their context; longer ones lose their oldest context first.
        context: number of earlier utterances of the same dialogue to read.
        labels: C labels, given by the config.
        task: task of the config.
        assets: folder written by :meth:`save_assets`.

    Raises:
        ConfigError: ``model`` is not a causal language model with a tokenizer, or cannot read so many tokens.
        CheckpointError: the model is not the one that the checkpoint was made with.
    """

    def __init__(
        self,
        *,
        model: str,
        language: Language = "en",
        max_tokens: Size = 256,
        context: int = 0,
        labels: Sequence[str],
        task: str = "single",
        assets: Path | None = None,
    ) -> None:
        if tuple(labels) == DIMENSIONS:
            raise dimensions_error("text")
        what = f"{_WHERE}.model: {model!r}"
        folder = find_folder(model, f"{_WHERE}.model", assets)
        tokenizer = _tokenizer(folder, what)
        stored = record_of(folder, assets, labels, lambda: render(tokenizer, "text", labels, language), what)
        autos = ("AutoModelForCausalLM", "AutoModelForMultimodalLM")
        auto, config = model_class(folder, autos, what, "which does not generate text; name a language model")
        super().__init__("text", load_language_model(auto, config, folder, what), stored, task)
        self.input_spec = TextSpec(tokenizer=str(folder), max_tokens=max_tokens, context=context)
        self._said = TurnSplitter(self.input_spec, tokenizer)
        self._encode(tokenizer)
        longest = max_tokens + len(self._before) + len(self._after) + max(map(len, self._answers))
        limit = getattr(self.backbone.config.get_text_config(), "max_position_embeddings", None)
        if limit and longest > limit:
            raise ConfigError(
                f"{_WHERE}.max_tokens: {max_tokens} and the prompt exceed the {limit} tokens that {model!r} can read"
            )

    def scores(self, x: Tensor, mask: Tensor) -> Tensor:
        """As :meth:`PromptedEncoder.scores`."""
        prompts = [self._prompt(*self._said.split(ids[real].tolist())) for ids, real in zip(x, mask, strict=True)]
        return text_scores(self.backbone, prompts, self._answers, shared=bool(self.shared), device=x.device)

    def content_free(self) -> tuple[Tensor, bool]:
        """As :meth:`PromptedEncoder.content_free`: the mean over three texts without content."""
        weight = next(self.backbone.parameters())
        device, dtype = weight.device, weight.dtype
        prompts = [self._prompt(self._said.tokens(text), []) for text in _CONTENT_FREE]
        ids = torch.tensor([prompts[0]], device=device)
        plain = plain_scores(self.backbone, {"input_ids": ids}, self._answers)
        alone, followed = (self.backbone(input_ids=x, use_cache=False).logits[0, 0] for x in (ids[:, :1], ids[:, :2]))
        if not agree(followed.float().log_softmax(-1), alone.float().log_softmax(-1), dtype):
            kind = self.backbone.config.model_type
            raise ConfigError(
                f"{_WHERE}.model: a {kind!r} model reads a text in both directions; name a causal language model"
            )
        try:
            shared = text_scores(self.backbone, prompts, self._answers, shared=True, device=device)
        except (RuntimeError, TypeError, AttributeError, ValueError, KeyError):
            shared = None  # an architecture without this kind of cache
        if shared is not None and agree(shared[0], plain, dtype):
            return shared, True
        return text_scores(self.backbone, prompts, self._answers, shared=False, device=device), False

    def _encode(self, tokenizer: Any) -> None:
        """Convert the fixed parts of the prompt, and the answers, to token ids."""
        prompt = self.stored.prompt
        chat = getattr(tokenizer, "chat_template", None) is not None
        self._before = token_ids(tokenizer, prompt.before, special=not chat)
        turns = TURNS[prompt.language]
        self._turns = {own: [token_ids(tokenizer, part) for part in around] for own, around in turns.items()}
        self._after, self._answers = answer_ids(tokenizer, prompt)

    def _prompt(self, words: Sequence[int], earlier: Sequence[tuple[bool, Sequence[int]]]) -> list[int]:
        """Token ids of the whole prompt.

        Args:
            words: token ids of the utterance.
            earlier: whether the same speaker said each earlier turn, and its token ids, latest first.
        """
        ids = list(self._before)
        for own, turn in [*reversed([turn for turn in earlier if turn[1]]), (True, words)]:
            opening, closing = self._turns[own]
            ids += [*opening, *turn, *closing]
        return ids + self._after


def _tokenizer(folder: Path, what: str) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise ConfigError(f"{what} has no usable tokenizer: {first_line(error)}") from None
