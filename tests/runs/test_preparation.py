"""Branches that a run takes over must be rebuilt from its model folder as they were trained."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from multiemo.config import parse_config
from multiemo.encoders.base import Encoder
from multiemo.encoders.common.channel_norm import replace_batch_norm
from multiemo.encoders.common.lora import Lora
from multiemo.errors import ConfigError
from multiemo.registry import encoders
from multiemo.runs.preparation import Preparation

BASE = {"name": "x", "label_set": "polarity3", "data": {"manifest": "m.jsonl"}, "stages": ["fuse"]}
WHAT = "branches.face (runs/a)"


def preparation(**options: Any) -> Any:
    encoder = {"name": "face_timm", **options}
    config = parse_config({**BASE, "encoders": {"face": encoder}, "branches": {"face": "runs/a"}})
    return SimpleNamespace(config=config)


def face(**options: Any) -> Encoder:
    return encoders.build("face_timm", options, where="encoders.face")


@pytest.mark.parametrize(
    "options", [{}, {"size": 32}, {"size": 32.0, "frames": 8}, {"lora": {"targets": ["conv2"], "rank": 8}}], ids=str
)
def test_options_that_a_branch_has_may_be_set_again(options: dict[str, Any]) -> None:
    branch = face(size=32, lora=Lora(targets=("conv2",)))
    Preparation._check_options(preparation(**options), "face", branch, WHAT)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mirror": True}, r"^encoders\.face\.mirror: is True, but branches\.face \(runs/a\) was trained with False"),
        ({"size": 64}, r"^encoders\.face\.size: is 64, .* trained with 32 .*; remove the key, or set it to 32$"),
        ({"lora": {"rank": 4}}, r"^encoders\.face\.lora: is \{'rank': 4\}, .* trained with None"),
        ({"pooling": "mean"}, r"^encoders\.face\.pooling: unknown option"),
    ],
)
def test_other_options_than_those_of_a_branch_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Preparation._check_options(preparation(**options), "face", face(size=32), WHAT)


def test_a_prompt_for_another_task_is_refused() -> None:
    branch: Any = SimpleNamespace(options={"task": "multi"})
    with pytest.raises(ConfigError, match=r"runs/a\): answers for task 'multi', but the task here is 'single'"):
        Preparation._check_options(preparation(), "face", branch, WHAT)


def test_a_private_branch_whose_norms_were_replaced_needs_privacy() -> None:
    branch = face()
    Preparation._check_norms(preparation(), SimpleNamespace(model=branch), WHAT)
    replace_batch_norm(branch.train())
    with pytest.raises(ConfigError, match=r"^branches\.face .* without batch normalisation, .* set privacy here too"):
        Preparation._check_norms(preparation(), SimpleNamespace(model=branch), WHAT)
