"""Prompted encoders of sound and pictures: the library's own processor combines a clip with the prompt."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from multiemo.encoders.common.label_scores import PER_TOKEN, extended, plain_scores, shared_scores
from multiemo.encoders.common.language_models import find_folder, load_language_model, model_class, record_of
from multiemo.encoders.common.pretrained import quiet
from multiemo.encoders.common.prompted import PromptedEncoder, agree, dimensions_error
from multiemo.encoders.common.prompts import answer_ids, render, token_ids
from multiemo.errors import ConfigError, first_line
from multiemo.labels.words import Language
from multiemo.types import DIMENSIONS, Modality

#: Classes of the library that build a model for text and something else. The second one has Audio Flamingo.
_AUTOS = ("AutoModelForMultimodalLM", "AutoModelForSeq2SeqLM")
#: What processors and models raise if they do not take what they are given.
_UNFIT = (RuntimeError, TypeError, AttributeError, ValueError, KeyError, IndexError, ImportError, NotImplementedError)


@dataclass(frozen=True, slots=True)
class Medium:
    """What the library calls a kind of clip.

    Args:
        name: type of its item in a chat message.
        argument: argument of a processor that takes such clips; messages use the same word.
        parts: names of the part of a processor that converts them, of which it has one.
        instead: advice for a model that does not read them.
    """

    name: str
    argument: str
    parts: tuple[str, ...]
    instead: str


class MediaPrompted(PromptedEncoder):
    """Asks a model of the library that reads a medium beside text.

    A subclass sets ``input_spec``, calls :meth:`check_longest`, and implements :meth:`media` and :meth:`neutral`.

    Args:
        modality: modality of the branch.
        model: name of the language model, as in the config.
        labels: C labels.
        language: language of the prompt.
        count: number of clips of the medium in each prompt.
        task: task of the config.
        assets: folder written by :meth:`save_assets`.

    Raises:
        ConfigError: the language model does not read the medium, or not with text.
        CheckpointError: the model is not the one that the checkpoint was made with.
    """

    medium: ClassVar[Medium]

    def __init__(
        self,
        modality: Modality,
        *,
        model: str,
        labels: Sequence[str],
        language: Language,
        count: int,
        task: str,
        assets: Path | None,
    ) -> None:
        import transformers

        if tuple(labels) == DIMENSIONS:
            raise dimensions_error(modality)
        what = f"encoders.{modality}.model: {model!r}"
        known = f"transformers {transformers.__version__}"
        instead = f"which {known} does not build for text with {self.medium.argument}; {self.medium.instead}"
        folder = find_folder(model, f"encoders.{modality}.model", assets)
        auto, config = model_class(folder, _AUTOS, what, instead)
        processor = _processor(folder, self.medium, what)

        def prompt() -> Any:
            with quiet():  # the library warns about options that a template does not use
                return render(processor, modality, labels, language, placeholder=self.medium.name, count=count)

        stored = record_of(folder, assets, labels, prompt, what)
        super().__init__(modality, load_language_model(auto, config, folder, what), stored, task)
        self.processor, self._what = processor, what
        after, self._answers = answer_ids(processor.tokenizer, stored.prompt)
        self._cut = len(token_ids(processor.tokenizer, stored.prompt.after)) - len(after)

    @abstractmethod
    def media(self, clip: Tensor) -> list[Any]:
        """A clip in the form that processors take: arrays of samples, or pictures.

        Args:
            clip: ``[T, ...]``, without padding.
        """

    @abstractmethod
    def neutral(self) -> Tensor:
        """A clip ``[T, ...]`` without content."""

    def check_longest(self, clip: Tensor) -> None:
        """Check that the language model can read the longest clip.

        Args:
            clip: ``[T, ...]``.

        Raises:
            ConfigError: the processor does not take it, or the prompt has too many tokens.
        """
        longest = self._inputs(clip)["input_ids"].shape[1] + max(map(len, self._answers))
        limit = getattr(self.backbone.config.get_text_config(), "max_position_embeddings", None)
        if limit and longest > limit:
            raise ConfigError(
                f"{self._what} can read {limit} tokens, but the prompt has {longest}; read less of a clip"
            )

    def scores(self, x: Tensor, mask: Tensor) -> Tensor:
        """As :meth:`PromptedEncoder.scores`: one clip at a time."""
        return torch.stack([self._score(clip[real], bool(self.shared)) for clip, real in zip(x, mask, strict=True)])

    def content_free(self) -> tuple[Tensor, bool]:
        """As :meth:`PromptedEncoder.content_free`: the scores of :meth:`neutral`."""
        clip = self.neutral()
        dtype = next(self.backbone.parameters()).dtype
        try:
            plain = self._score(clip, False)
            alone, followed = self._at_the_end(clip)
        except _UNFIT as error:
            raise self._unfit(f"does not answer a prompt with {self.medium.argument}: {first_line(error)}") from None
        if not plain.isfinite().all():
            raise self._unfit("gives no finite probabilities; set precision: 'no'")
        if not agree(followed, alone, dtype):
            raise self._unfit("reads a prompt in both directions")
        try:
            shared = self._score(clip, True)
        except _UNFIT:
            return plain[None], False  # an architecture without this kind of cache
        exact = agree(shared, plain, dtype)
        return (shared if exact else plain)[None], exact

    def _score(self, clip: Tensor, shared: bool) -> Tensor:
        """Log-probabilities ``[C]`` of the answers for one clip ``[T, ...]``."""
        prompt = self._inputs(clip)
        if shared:
            return shared_scores(self.backbone, prompt, self._answers)[0]
        return plain_scores(self.backbone, prompt, self._answers)

    def _at_the_end(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities of every token after the prompt, of the prompt alone and of one that goes on."""
        prompt = self._inputs(clip)
        length = prompt["input_ids"].shape[1]
        longer = extended(prompt, torch.tensor(self._answers[0], device=prompt["input_ids"].device))
        passes = [self.backbone(**inputs, use_cache=False).logits[0, length - 1] for inputs in (prompt, longer)]
        alone, followed = (logits.float().log_softmax(-1) for logits in passes)
        return alone, followed

    def _inputs(self, clip: Tensor) -> dict[str, Tensor]:
        """Arguments of the language model for one clip ``[T, ...]``, up to the answer."""
        prompt, tokenizer = self.stored.prompt, self.processor.tokenizer
        start = tokenizer.bos_token
        own = {"add_special_tokens": False} if start and prompt.before.startswith(start) else {}
        given = {self.medium.argument: self.media(clip), "text": [prompt.before + prompt.after]}
        try:
            with quiet():
                made = dict(self.processor(**given, return_tensors="pt", **own))
        except _UNFIT as error:
            raise self._unfit(
                f"has a processor that does not take {self.medium.argument} with text: {first_line(error)}"
            ) from None
        if not any(isinstance(values, Tensor) and values.is_floating_point() for values in made.values()):
            raise self._unfit(f"has a processor that ignores {self.medium.argument}")
        ends = not own and int(made["input_ids"][0, -1]) in (tokenizer.eos_token_id, tokenizer.sep_token_id)
        length = made["input_ids"].shape[1] - self._cut - ends
        made.setdefault("attention_mask", torch.ones_like(made["input_ids"]))
        made.update({name: made[name][:, :length] for name in ("input_ids", *PER_TOKEN) if name in made})
        weight = next(self.backbone.parameters())
        return {
            name: values.to(weight.device, weight.dtype if values.is_floating_point() else None)
            for name, values in made.items()
            if isinstance(values, Tensor) and name != "labels"
        }

    def _unfit(self, problem: str) -> ConfigError:
        return ConfigError(f"{self._what} {problem}; {self.medium.instead}")


def _processor(folder: Path, medium: Medium, what: str) -> Any:
    from transformers import AutoProcessor

    try:
        with quiet():
            processor = AutoProcessor.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, *_UNFIT) as error:
        raise ConfigError(f"{what} has no usable processor: {first_line(error)}; {medium.instead}") from None
    if medium_part(processor, medium) is None or getattr(processor, "tokenizer", None) is None:
        raise ConfigError(f"{what} has a processor that does not take {medium.argument} with text; {medium.instead}")
    if processor.tokenizer.pad_token is None:  # some processors want one even for a single prompt
        processor.tokenizer.pad_token = processor.tokenizer.eos_token
    return processor


def medium_part(processor: Any, medium: Medium) -> Any:
    """The part of a processor that converts a medium; ``None`` if it has none."""
    return next((part for name in medium.parts if (part := getattr(processor, name, None)) is not None), None)
