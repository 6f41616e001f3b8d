"""Weights that are cast together train as autocast would, bit by bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from multiemo.encoders.common.lora import Lora
from multiemo.registry import encoders
from multiemo.training.casts import cast_together
from multiemo.training.compiled import run_plainly
from tests.support.tensors import crops, padded, waves
from tests.support.tiny_speech import build
from tests.support.tiny_text import batch, tiny


def results(encoder: nn.Module, x: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
    """Embedding and gradients of two accumulated batches in bf16, the second one shorter."""
    encoder.zero_grad()
    made = {}
    torch.manual_seed(3)  # dropout
    for size in (len(x), 2):
        with torch.autocast("cpu", torch.bfloat16):
            embedding = encoder(x[:size], mask[:size])
        embedding.float().square().sum().backward()
        made[f"embedding {size}"] = embedding.detach()
    return made | {name: p.grad for name, p in encoder.named_parameters() if p.grad is not None}


def face(_: Path) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    options = {"backbone": "mobilenetv3_small_050", "size": 32, "temporal": "transformer"}
    return (encoders.build("face_timm", options, where="face"), *crops(2, 3, 3, size=32))


ENCODERS = {
    "text": lambda folder: (tiny(folder, "roberta", pooling="attention"), *batch()),
    "text, adapters": lambda folder: (tiny(folder, "bert", lora=Lora(rank=2), pooling="attention"), *batch()),
    "speech": lambda folder: (build("wav2vec2-group", folder, prosody=False), *padded(waves([0.3, 0.2, 0.3]))),
    "speech, WavLM": lambda folder: (build("wavlm", folder, freeze="none"), *padded(waves([0.3, 0.2, 0.3]))),
    "face": face,
}


@pytest.mark.parametrize("kind", ENCODERS)
def test_gradients_are_those_of_autocast(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder, x, mask = ENCODERS[kind](tmp_path)
    encoder.train()
    state = {k: v.clone() for k, v in encoder.state_dict().items()}
    expected = results(encoder, x, mask)
    encoder.load_state_dict(state)
    failures: list[str] = []
    cast_together(encoder, failures.append)
    copied: list[int] = []
    real = torch._foreach_copy_
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "_foreach_copy_", lambda to, of: (copied.append(len(to)), real(to, of))[1])
        got = results(encoder, x, mask)
    assert failures == []
    assert len(copied) == 4, "forward and backward, twice"
    assert copied[0] == 2 if "adapters" in kind else copied[0] > 4  # with adapters, only the pooling
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(got[name], value), name
    assert encoder.state_dict().keys() == state.keys()
    assert all(isinstance(p, nn.Parameter) for p in encoder.parameters())


def test_nothing_is_cast_outside_of_a_training_pass_in_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = nn.Sequential(nn.Linear(4, 4))
    cast_together(layer, pytest.fail)
    monkeypatch.setattr(torch, "_foreach_copy_", lambda *_: pytest.fail("cast"))
    layer(torch.randn(2, 4)).sum().backward()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        layer(torch.randn(2, 4))
    run_plainly(layer)
    with torch.autocast("cpu", torch.bfloat16):
        layer(torch.randn(2, 4)).sum().backward()


def test_an_unused_weight_gets_no_gradient() -> None:
    module = nn.ModuleDict({"used": nn.Linear(4, 4), "unused": nn.Linear(4, 4)})
    module.forward = lambda x: module["used"](x)  # type: ignore[method-assign]
    cast_together(module, pytest.fail)
    with torch.autocast("cpu", torch.bfloat16):
        module(torch.randn(2, 4)).sum().backward()
    assert module["used"].weight.grad is not None
    assert module["unused"].weight.grad is None  # the optimiser would decay it otherwise


def test_an_encoder_that_needs_full_precision_goes_on_without_and_one_note_says_so() -> None:
    class Router(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.autocast("cpu", enabled=False):
                return self.layer(x)

    router, notes = Router(), []
    cast_together(router, notes.append)
    with torch.autocast("cpu", torch.bfloat16):
        for _ in range(2):
            router(torch.randn(2, 4)).sum().backward()
    assert len(notes) == 1
    assert "dtype" in notes[0]
    assert router.layer.weight.grad is not None


def test_an_encoder_without_weights_runs_as_it_is() -> None:
    encoder = nn.Dropout(0.0)
    cast_together(encoder, lambda _: pytest.fail("there is nothing to cast"))
    with torch.autocast("cpu", torch.bfloat16):
        assert encoder(torch.ones(2)).tolist() == [1.0, 1.0]
