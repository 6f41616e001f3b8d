"""Masks of the library's attention: the same result without one, where nothing is padded."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from transformers.masking_utils import bidirectional_mask_function, causal_mask_function, sdpa_mask

from multiemo.encoders.common import attention
from tests.support.tensors import waves
from tests.support.tiny_speech import KINDS, build
from tests.support.tiny_text import SDPA, tiny

#: Versions of the library that build masks of positions instead; T5 and ModernBERT have attention of their own there.
EARLY = "q_length" not in inspect.signature(sdpa_mask).parameters


def gradients_of(encoder, x, mask, **options):
    encoder.zero_grad()
    made = encoder(x, mask, **options)
    (made * torch.linspace(-1, 1, made.numel(), dtype=made.dtype).view_as(made)).sum().backward()
    return [made.detach(), *(p.grad.clone() for p in encoder.parameters() if p.grad is not None)]


def assert_same_unmasked(encoder, x, mask) -> None:
    """In double precision, so that only rounding of another kernel can differ."""
    wanted = gradients_of(encoder, x, mask)
    got = gradients_of(encoder, x, mask, padded=False)
    assert len(got) == len(wanted) > 5
    for ours, masked in zip(got, wanted, strict=True):
        torch.testing.assert_close(ours, masked, rtol=1e-8, atol=1e-8 * float(masked.abs().max()) + 1e-12)


@pytest.fixture
def masks_passed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each call of SDPA got a mask."""
    passed: list[bool] = []
    real = F.scaled_dot_product_attention

    def spy(*args, attn_mask=None, **options):
        passed.append(attn_mask is not None)
        return real(*args, attn_mask=attn_mask, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spy)
    return passed


@pytest.mark.parametrize("name", [name for name in SDPA if not (EARLY and name in ("t5", "modernbert"))])
def test_texts_of_one_length_need_no_mask(tmp_path: Path, name: str, masks_passed: list[bool]) -> None:
    encoder = tiny(tmp_path, name, pooling="attention").double().eval()
    x = torch.randint(5, 11, (3, 6), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(x, dtype=torch.bool)
    masks_passed.clear()
    encoder(x, mask)
    assert masks_passed
    assert all(masks_passed)
    masks_passed.clear()
    encoder(x, mask, padded=False)
    # T5 adds its positions through the mask, ModernBERT's windows are one in most layers, decoders keep theirs.
    assert not any(masks_passed) or name in ("t5", "modernbert") or encoder.causal
    assert masks_passed
    assert_same_unmasked(encoder, x, mask)


@pytest.mark.parametrize("kind", KINDS)
def test_clips_of_one_length_need_no_mask(tmp_path: Path, kind: str) -> None:
    encoder = build(kind, tmp_path, freeze="none", dropout=0.0).double().eval()
    x = torch.stack(waves([0.3] * 2)).double()
    assert_same_unmasked(encoder, x, torch.ones(x.shape[:2], dtype=torch.bool))


def test_flash_attention_can_run_in_speech(tmp_path: Path, masks_passed: list[bool]) -> None:
    encoder = build("wav2vec2-layer", tmp_path).eval()
    x = torch.stack(waves([0.3] * 2))
    encoder(x, torch.ones(x.shape[:2], dtype=torch.bool), padded=False)
    assert masks_passed == [False, False]


@pytest.mark.skipif(EARLY, reason="this version of transformers makes masks in another way, which is left to it")
@pytest.mark.parametrize("function", [bidirectional_mask_function, causal_mask_function])
def test_the_short_way_to_a_mask_makes_the_library_s(function) -> None:
    padding = torch.arange(5) < torch.tensor([[5], [2], [1]])
    options = {
        "batch_size": 3, "q_length": 5, "kv_length": 5, "mask_function": function, "attention_mask": padding,
        "allow_is_causal_skip": False, "allow_is_bidirectional_skip": False,
    }  # fmt: skip
    assert torch.equal(attention._mask(**options), sdpa_mask(**options))


@pytest.mark.skipif(EARLY, reason="this version of transformers makes masks in another way, which is left to it")
def test_no_mask_stays_no_mask_while_a_graph_is_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some versions of the library then make one that hides nothing, with which attention is slow."""
    monkeypatch.setattr(attention, "sdpa_mask", lambda *_, **__: pytest.fail("made a mask"))
    options = {"batch_size": 3, "q_length": 5, "kv_length": 5, "mask_function": bidirectional_mask_function}
    assert attention._mask(**options, attention_mask=None, allow_is_bidirectional_skip=True) is None


@pytest.mark.parametrize(("function", "skip"), [(bidirectional_mask_function, False), (causal_mask_function, True)])
def test_masks_that_are_needed_are_made_without_padding(function, skip: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "sdpa_mask", lambda *_, **__: "made")
    options = {"mask_function": function, "attention_mask": None, "allow_is_bidirectional_skip": skip}
    assert attention._mask(**options) == "made"
