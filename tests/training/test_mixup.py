"""Mixed clips: targets, embeddings, and what has no label."""

from __future__ import annotations

import torch

from multiemo.data.collate import Collate
from multiemo.training.losses import label_loss
from multiemo.training.mixup import mix_pairs
from tests.support.tiny_training import CLASSES, MODALITIES, make_model, make_samples, say_others


def test_mixup_mixes_targets_and_embeddings_of_alike_pairs_only():
    torch.manual_seed(0)
    batch = Collate(MODALITIES, CLASSES)(make_samples(20, 0))
    mixed, (share, partner) = mix_pairs(batch, 0.4)
    assert (share >= 0.5).all()
    torch.testing.assert_close(mixed.target.sum(1), torch.ones(20))
    differs = batch.presence["face"] != batch.presence["face"][partner]
    assert (share[differs] == 1).all()
    assert (share[~differs] < 1).any()
    model = make_model().eval()
    plain = model(batch).embeddings["speech"]
    torch.testing.assert_close(
        model(batch, mix=(share, partner)).embeddings["speech"],
        share.unsqueeze(1) * plain + (1 - share.unsqueeze(1)) * plain[partner],
    )


def test_mixup_mixes_what_other_sources_say_of_both():
    """A source that says nothing of one of the two says nothing of the mixture, and above all no ``not this label``."""
    torch.manual_seed(0)
    batch = Collate(MODALITIES, CLASSES)(say_others(make_samples(20, 0), torch.arange(20) % CLASSES))
    batch.other_targets[::4, 1] = 0
    mixed, (share, partner) = mix_pairs(batch, 0.4)
    known = batch.other_targets.sum(2, keepdim=True) > 0
    assert (known != known[partner])[(share < 1)].any()
    share = share.view(-1, 1, 1)
    expected = share * batch.other_targets + (1 - share) * batch.other_targets[partner]
    expected = torch.where(share == 1, batch.other_targets, expected * (known & known[partner]))
    torch.testing.assert_close(mixed.other_targets, expected)


def test_what_has_no_label_has_no_part_in_mixup_and_focal_loss():
    torch.manual_seed(0)
    samples = make_samples(20, 0)
    for i, sample in enumerate(samples):
        sample.target = None if i % 3 == 0 else sample.target
        sample.dimensions = torch.full((3,), 0.1 * i if i % 2 else float("nan"))
    batch = Collate(MODALITIES, CLASSES)(samples)
    mixed, (share, partner) = mix_pairs(batch, 0.4)
    unlabelled = ~batch.labelled
    assert (share[unlabelled | unlabelled[partner]] == 1).all()
    assert torch.equal(mixed.target[unlabelled], torch.zeros(int(unlabelled.sum()), CLASSES))
    either = (batch.dimensions.isnan() | batch.dimensions[partner].isnan())[share < 1]
    assert torch.equal(mixed.dimensions[share < 1].isnan(), either)
    assert torch.equal(mixed.dimensions[share == 1].isnan(), batch.dimensions[share == 1].isnan())
    logits = torch.randn(20, CLASSES)
    for task in ("single", "multi"):
        rows = batch.labelled
        part = label_loss(logits[rows], batch.target[rows], rows[rows], task=task, focal=2.0, smoothing=0.1)
        torch.testing.assert_close(label_loss(logits, batch.target, rows, task=task, focal=2.0, smoothing=0.1), part)
