"""Branches of rules in a model, without data."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from multiemo.encoders.common.rule_branch import RuleEncoder, RuleHead
from multiemo.labels.sets import LABEL_SETS
from multiemo.model import EmotionModel
from multiemo.registry import fusions
from multiemo.rules.findings import EMOTIONS, Findings, RuleReason
from multiemo.rules.label_sets import label_shares
from multiemo.rules.vector import rule_vector
from multiemo.types import MODALITIES, SUBSETS, Batch

LABELS = LABEL_SETS["ekman7"]
PRIOR = torch.tensor([0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05])


def model(fusion: str) -> EmotionModel:
    torch.manual_seed(0)
    encoders = {m: RuleEncoder() for m in MODALITIES}
    decision = fusion == "decision"
    built = fusions.build(fusion, {}, where="fusion", dims={m: len(LABELS) if decision else 12 for m in MODALITIES})
    heads = {m: RuleEncoder().fixed_head(LABELS) for m in MODALITIES}
    return EmotionModel(encoders, len(LABELS), fusion=built, prior=PRIOR, heads=heads)


def batch(vectors: torch.Tensor, presence: torch.Tensor) -> Batch:
    """``[B, 3, K]`` vectors of the modalities, and which are present, ``[B, 3]``."""
    size = len(vectors)
    names = [str(i) for i in range(size)]
    return Batch(
        names, names, names,
        {m: vectors[:, i : i + 1] * presence[:, i, None, None] for i, m in enumerate(MODALITIES)},
        {m: presence[:, i : i + 1] for i, m in enumerate(MODALITIES)},
        {m: presence[:, i] for i, m in enumerate(MODALITIES)},
        [{}] * size, torch.zeros(size, len(LABELS)), torch.zeros(size, dtype=torch.bool),
        torch.full((size, 3), torch.nan),
    )  # fmt: skip


@pytest.mark.parametrize("fusion", fusions.names())
def test_three_rule_branches_with_a_trained_fusion(fusion: str) -> None:
    net = model(fusion)
    assert all(not list(net.branch_heads[m].parameters()) for m in MODALITIES)
    presence = torch.tensor(list(product([False, True], repeat=3)))
    vectors = torch.rand(8, 3, 12)
    output = net(batch(vectors, presence), subsets=tuple(SUBSETS))
    assert output.logits.isfinite().all()
    assert torch.allclose(output.logits[0].softmax(0), PRIOR, atol=1e-4)
    (output.logits * torch.randn_like(output.logits)).sum().backward()
    missing = [n for n, p in net.named_parameters() if p.grad is None]
    assert missing == []


def test_bayes_rule_of_three_silent_and_one_speaking_branch() -> None:
    net = model("decision").eval()
    vectors = torch.zeros(2, 3, 12)
    vectors[1, 2, EMOTIONS.index("angry")] = 1.0
    silent, spoken = net(batch(vectors, torch.ones(2, 3, dtype=torch.bool))).logits.softmax(1)
    assert torch.allclose(silent, PRIOR, atol=1e-5)
    raised = PRIOR * torch.exp(2.0 * torch.tensor([float(label == "angry") for label in LABELS]))
    assert torch.allclose(spoken, raised / raised.sum(), atol=1e-4)


def test_the_head_gives_the_shares_that_explanations_show() -> None:
    found = Findings({"sad": 0.8, "angry": 0.3}, -0.5, 0.2, [RuleReason(rule="r", part="p", effect={}, source="s")])
    vector = torch.from_numpy(rule_vector(found))[None]
    for labels in (LABELS, LABEL_SETS["goemotions28"], LABEL_SETS["polarity5"], ("happy", "bored", "sarcastic")):
        shares = RuleHead(labels)(vector).softmax(1)[0]
        assert shares.tolist() == pytest.approx(list(label_shares(found, labels).values()), abs=1e-5)


def test_a_head_of_rules_leaves_nothing_in_the_checkpoint() -> None:
    assert model("decision").branch_heads.state_dict() == {}
