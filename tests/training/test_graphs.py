"""Graphs of an encoder's passes; a function that is run again stands in for a graph of kernels."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from multiemo.encoders.common import fused_layers
from multiemo.encoders.common.lora import Lora
from multiemo.encoders.common.side_streams import side_by_side
from multiemo.registry import encoders
from multiemo.training import graphs
from multiemo.training.casts import cast_together
from multiemo.training.compiled import run_plainly
from multiemo.training.graphs import OCCURRENCES, graph_encoder
from tests.support.tensors import crops, padded, waves
from tests.support.tiny_speech import build
from tests.support.tiny_text import tiny

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


class Recorder:
    """Captures by running; a replay runs again and puts the results where the captured ones are, as a graph does."""

    def __init__(self) -> None:
        self.captured, self.replayed = 0, 0

    def __call__(self, run: Any) -> Any:
        self.captured += 1
        made = run()
        results = [made] if isinstance(made, torch.Tensor) else list(made)
        fixed = [None if x is None else x.detach().clone() for x in results]

        def replay() -> None:
            self.replayed += 1
            again = run()
            again = [again] if isinstance(again, torch.Tensor) else again
            for own, new in zip(fixed, again, strict=True):
                if own is not None:
                    own.copy_(new.detach())

        return replay, fixed[0] if isinstance(made, torch.Tensor) else fixed


def texts(folder: Path, **options: Any) -> Any:
    encoder = tiny(folder, "roberta", pooling="attention", **options)
    x = torch.randint(5, 11, (3, 17), generator=torch.Generator().manual_seed(0))
    return encoder, x, torch.arange(17) < torch.tensor([[17], [9], [4]])


def faces(_: Path) -> Any:
    nothing = dict.fromkeys(("flip", "rotate", "zoom", "shift", "light", "grey", "erase"), 0.0)
    return encoders.build("face_timm", {"size": 32, "frames": 3, **nothing}, where="face"), *crops(2, 3, 3, size=32)


def speech(folder: Path) -> Any:
    return build("wav2vec2-layer", folder), *padded(waves([0.3, 0.2, 0.3]))


ENCODERS = {
    "text": texts,
    "adapters": lambda folder: texts(folder, lora=Lora(rank=2)),
    "speech": speech,
    "face": faces,
}


def still(encoder: nn.Module) -> nn.Module:
    """In training, without anything random."""
    for module in encoder.train().modules():
        for name in ("p", "dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    encoder.time_mask = encoder.feature_mask = 0.0
    return encoder


def steps(encoder: nn.Module, x: torch.Tensor, mask: torch.Tensor, count: int, accumulate: int = 2) -> list[Any]:
    """Weights and buffers after so many optimiser steps on accumulated batches, with clipped gradients."""
    optimizer = torch.optim.AdamW([p for p in encoder.parameters() if p.requires_grad], lr=1e-2)
    for step in range(count):
        for part in range(accumulate):
            turned = (x.roll(step + part, 0), mask.roll(step + part, 0))
            encoder(*turned).square().sum().backward()
        nn.utils.clip_grad_norm_(encoder.parameters(), 0.1)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return [x.detach().clone() for x in (*encoder.parameters(), *encoder.buffers())]


@pytest.mark.parametrize("kind", ENCODERS)
def test_replayed_steps_train_the_same_weights(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder, x, mask = ENCODERS[kind](tmp_path)
    still(encoder).double()
    x = x.double() if x.is_floating_point() else x
    state = {k: v.clone() for k, v in encoder.state_dict().items()}
    expected = steps(encoder, x, mask, 4)
    encoder.load_state_dict(state)
    recorder = Recorder()
    graph_encoder(encoder, pytest.fail, recorder)
    got = steps(encoder, x, mask, 4)
    assert recorder.captured == 2, "forward and backward of one shape"
    assert recorder.replayed == 2 * (8 - OCCURRENCES + 1)
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)


def test_shapes_are_captured_when_they_recur_and_no_more_than_so_many(tmp_path: Path, monkeypatch) -> None:
    encoder, x, mask = texts(tmp_path)
    monkeypatch.setattr(graphs, "MOST_GRAPHS", 2)
    recorder = Recorder()
    graph_encoder(encoder.train(), pytest.fail, recorder)
    for length in (17, 18, 17, 16, 16, 15, 16, 12, 12, 12, 12):
        encoder(x[:, :1].expand(-1, length), torch.ones(3, length, dtype=torch.bool)).sum().backward()
    # 17 and 18 are one shape, then 16; 15 came once, and 12 after the most.
    assert recorder.captured == 2 * 2
    encoder.eval()
    replayed = recorder.replayed
    encoder(x[:, :16], mask[:, :16])
    with torch.no_grad():
        encoder.train()(x[:, :16], mask[:, :16])
    assert recorder.replayed == replayed, "only training passes are replayed"


def test_a_thawed_layer_is_not_missing_from_the_gradients(tmp_path: Path) -> None:
    encoder, x, mask = texts(tmp_path)
    encoder.train().token_table().requires_grad_(False)
    graph_encoder(encoder, pytest.fail, Recorder())
    for _ in range(OCCURRENCES + 1):
        encoder(x, mask).sum().backward()
    assert encoder.token_table().weight.grad is None
    encoder.token_table().requires_grad_(True)
    for _ in range(OCCURRENCES + 1):
        encoder(x, mask).sum().backward()
    assert encoder.token_table().weight.grad.abs().sum() > 0


@pytest.mark.parametrize("together", [False, True])
def test_half_precision_is_autocast_s(together: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, x, mask = texts(tmp_path)
    still(encoder)

    def gradients() -> list[torch.Tensor]:
        encoder.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            made = encoder(x[:, :16], mask[:, :16])
        made.float().square().sum().backward()
        return [made.detach(), *(p.grad.clone() for p in encoder.parameters() if p.grad is not None)]

    expected = gradients()
    if together:
        cast_together(encoder, pytest.fail)
    graph_encoder(encoder, pytest.fail, Recorder())
    for _ in range(OCCURRENCES):
        gradients()
    copied: list[int] = []
    real = torch._foreach_copy_
    monkeypatch.setattr(torch, "_foreach_copy_", lambda to, of: (copied.append(len(to)), real(to, of))[1])
    got = gradients()
    # Replays copy the gradients out of the graph; weights cast together are cast within it, as are their gradients.
    assert len(copied) == (3 if together else 1)
    for ours, theirs in zip(got, expected, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("kind", ENCODERS)
def test_a_captured_pass_does_not_reach_the_weights_that_autograd_knows(
    kind: str, together: bool, tmp_path: Path
) -> None:
    """Those are tied to another stream while any loss that reads them is alive, and the capture of a backward fails."""
    encoder, x, mask = ENCODERS[kind](tmp_path)
    still(encoder)
    if together:
        cast_together(encoder, pytest.fail)
    reached: list[torch.Tensor] = []

    def record(run: Any) -> Any:
        made = run()
        if isinstance(made, torch.Tensor):
            pending, known = [made.grad_fn], set()
            while pending:
                node = pending.pop()
                if node is not None and node not in known:
                    known.add(node)
                    pending += [parent for parent, _ in node.next_functions]
                    reached.extend([node.variable] if hasattr(node, "variable") else [])
        return (lambda: None), made

    graph_encoder(encoder, pytest.fail, record)
    with torch.autocast("cpu", torch.bfloat16, enabled=together):
        for _ in range(OCCURRENCES):
            encoder(x, mask)
    own = {id(p) for p in encoder.parameters()}
    assert len(reached) > 4
    assert not [r for r in reached if id(r) in own]
    assert {r.data_ptr() for r in reached} <= {p.data_ptr() for p in encoder.parameters()}
    assert all(isinstance(p, nn.Parameter) for p in encoder.parameters())


def test_only_captured_passes_may_use_kernels_that_are_slow_to_start(tmp_path: Path) -> None:
    encoder, x, mask = texts(tmp_path)
    captured: list[bool] = []
    encoder.register_forward_pre_hook(lambda *_: captured.append(fused_layers._captured.get()))
    graph_encoder(encoder.train(), pytest.fail, Recorder())
    for _ in range(OCCURRENCES):
        encoder(x, mask)
    assert captured[: OCCURRENCES - 1] == [False] * (OCCURRENCES - 1)
    assert len(captured) > OCCURRENCES
    assert all(captured[OCCURRENCES - 1 :])


def test_a_pass_with_another_tensor_is_not_captured(tmp_path: Path) -> None:
    encoder = build("wav2vec2-layer", tmp_path, freeze="all", speaker_normalization=True)
    clips = padded(waves([0.3, 0.3]))
    recorder = Recorder()
    encoder.train()
    encoder.project.eval()
    graph_encoder(encoder, failed=pytest.fail, record=recorder)
    offset = torch.randn(2, len(encoder.speaker_offset.mean))
    for _ in range(OCCURRENCES + 2):
        encoder(*clips, offset=offset)
    assert recorder.captured == 0


def test_dropout_differs_from_replay_to_replay(tmp_path: Path) -> None:
    encoder, x, mask = texts(tmp_path)
    graph_encoder(encoder.train(), pytest.fail, Recorder())
    made = [encoder(x, mask).detach() for _ in range(OCCURRENCES + 2)]
    assert not torch.equal(made[-1], made[-2])


def test_graphs_are_given_up_for_a_pass_that_needs_their_memory(tmp_path: Path) -> None:
    encoder, x, mask = texts(tmp_path)
    still(encoder)
    expected = encoder(x[:, :12], mask[:, :12])
    plain, full = encoder._call_impl, [False]

    def call(*arguments: Any, **options: Any) -> Any:
        if full[0]:
            full[0] = False
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore")
        return plain(*arguments, **options)

    encoder._compiled_call_impl = call
    notes: list[str] = []
    graph_encoder(encoder, notes.append, Recorder())
    full[0] = True
    with pytest.raises(torch.OutOfMemoryError):  # no graph holds memory yet
        encoder(x, mask)
    for _ in range(OCCURRENCES):
        encoder(x, mask)
    full[0] = True
    torch.testing.assert_close(encoder(x[:, :12], mask[:, :12]), expected)
    assert notes == ["CUDA out of memory. Tried to allocate 2 GiB"]
    torch.testing.assert_close(encoder(x[:, :12], mask[:, :12]), expected)


@on_a_gpu
def test_branches_beside_each_other_on_a_gpu_train_as_without_graphs(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    torch.manual_seed(0)
    texts_, speech_, faces_ = texts(tmp_path / "t"), speech(tmp_path / "s"), faces(tmp_path)
    parts: dict[Any, Any] = {"text": texts_, "speech": speech_, "face": faces_}
    made = []
    for graphed in (False, True):
        copies = {m: still(copy.deepcopy(part[0])).cuda() for m, part in parts.items()}
        if graphed:
            for encoder in copies.values():
                graph_encoder(encoder, pytest.fail)
        optimizer = torch.optim.SGD([p for e in copies.values() for p in e.parameters() if p.requires_grad], lr=1e-3)
        losses = []
        for step in range(3 * OCCURRENCES):
            with side_by_side():
                out = [copies[m](x.cuda().roll(step, 0), k.cuda().roll(step, 0)) for m, (_, x, k) in parts.items()]
            loss = torch.stack([e.square().mean() for e in out]).sum()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss.detach())
        made.append([torch.stack(losses), *(p.detach() for e in copies.values() for p in e.parameters())])
    for theirs, ours in zip(*made, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-4, atol=2e-5)


@on_a_gpu
def test_a_value_that_is_read_back_ends_a_capture_and_nothing_else(tmp_path: Path) -> None:
    encoder, x, mask = texts(tmp_path)
    encoder.cuda().train()
    notes: list[str] = []
    reads = encoder.register_forward_hook(lambda _, __, made: made * float(made.detach().sum().item() < 1e9))
    graph_encoder(encoder, notes.append)
    random = torch.cuda.get_rng_state()
    for _ in range(OCCURRENCES + 3):
        encoder(x.cuda(), mask.cuda()).sum().backward()
    assert len(notes) == 1, notes
    assert "captur" in notes[0].lower()
    assert all(p.grad.isfinite().all() for p in encoder.parameters() if p.grad is not None)
    assert not torch.equal(torch.cuda.get_rng_state(), random), "dropout still draws"
    assert not torch.equal(*torch.rand(2, 8, device="cuda"))
    reads.remove()
    run_plainly(encoder)
    graph_encoder(encoder, pytest.fail)  # a later training of the same process captures
    for _ in range(OCCURRENCES + 1):
        encoder(x.cuda(), mask.cuda()).sum().backward()


def test_after_a_failed_capture_training_goes_on_and_one_note_says_so(tmp_path: Path) -> None:
    def fails(_: Any) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    encoder, x, mask = texts(tmp_path)
    still(encoder)
    expected = encoder(x, mask)
    notes: list[str] = []
    graph_encoder(encoder, notes.append, fails)
    for _ in range(OCCURRENCES + 2):
        torch.testing.assert_close(encoder(x, mask), expected)
    assert notes == ["operation not permitted when stream is capturing"]
    run_plainly(encoder)
    cast_together(encoder, pytest.fail)
    torch.testing.assert_close(encoder(x, mask), expected)
