from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import nn

import multiemo.fusion  # noqa: F401  (registers)
from multiemo.encoders.base import Encoder
from multiemo.model import EmotionModel, contributions, drop_modalities
from multiemo.registry import fusions
from multiemo.types import MODALITIES, SUBSETS, Batch, FeatureSpec, subset_key

CLASSES = 3


class Mean(Encoder):
    """A stand-in encoder; refuses rows that hold nothing."""

    def __init__(self, modality, dim=4, out=6):
        super().__init__()
        self.modality, self.out_dim, self.input_spec = modality, out, FeatureSpec(dim=dim)
        self.layer = nn.Linear(dim, out)

    def forward(self, x, mask):
        assert mask.any(dim=1).all(), "an encoder was fed an absent row"
        return self.layer((x * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True))


def make_model(fusion="gated", task="single", dimensions=False):
    torch.manual_seed(0)
    encoders = {m: Mean(m) for m in MODALITIES}
    level = fusions.get(fusion, where="t").level
    dims = dict.fromkeys(MODALITIES, CLASSES if level == "decision" else 6)
    built = fusions.build(fusion, {}, where="fusion", dims=dims)
    prior = torch.tensor([0.5, 0.3, 0.2])
    return EmotionModel(encoders, CLASSES, fusion=built, task=task, dimensions=dimensions, prior=prior).eval()


def make_batch(patterns):
    size = len(patterns)
    torch.manual_seed(2)
    presence = {m: torch.tensor([p[i] for p in patterns]) for i, m in enumerate(MODALITIES)}
    masks = {m: torch.ones(size, 5, dtype=torch.bool) & presence[m].unsqueeze(1) for m in MODALITIES}
    inputs = {m: torch.randn(size, 5, 4) * masks[m].unsqueeze(-1) for m in MODALITIES}
    return Batch(
        ids=[str(i) for i in range(size)], corpora=["c"] * size, speakers=["s"] * size, inputs=inputs, masks=masks,
        presence=presence, absent=[{}] * size, target=torch.eye(CLASSES)[torch.arange(size) % CLASSES],
        labelled=torch.ones(size, dtype=torch.bool), dimensions=torch.full((size, 3), float("nan")),
    )  # fmt: skip


ALL = list(product([True, False], repeat=3))


@pytest.mark.parametrize("fusion", fusions.names())
def test_one_batch_with_all_eight_presence_patterns(fusion):
    model = make_model(fusion, dimensions=True)
    output = model(make_batch(ALL), subsets=list(SUBSETS))
    assert output.logits.shape == (8, CLASSES)
    assert output.logits.isfinite().all()
    assert output.dimensions.shape == (8, 3)
    torch.testing.assert_close(model.probabilities(output.logits[7]), model.prior)  # nothing there: the prior
    for row, pattern in enumerate(ALL[:7]):
        key = subset_key([m for m, here in zip(MODALITIES, pattern, strict=True) if here])
        torch.testing.assert_close(output.by_subset[key][row], output.logits[row])
        alone = model(make_batch([pattern]))  # other seeds for inputs, so only the shape can be compared
        assert alone.logits.shape == (1, CLASSES)
    assert output.usable["T"].tolist() == [p[0] for p in ALL]
    assert output.usable["SF"].tolist() == [p[1] or p[2] for p in ALL]


def test_a_subset_equals_a_batch_that_has_only_that_subset():
    model = make_model("attention")
    full = make_batch([(True, True, True)] * 4)
    by_subset = model(full, subsets=["TF"]).by_subset["TF"]
    full.presence["speech"][:] = False
    torch.testing.assert_close(model(full).logits, by_subset)


def test_a_branch_is_the_same_class_without_fusion():
    model = EmotionModel({"speech": Mean("speech")}, CLASSES).eval()
    batch = make_batch([(True, True, True), (True, False, True)])
    output = model(batch, subsets=list(SUBSETS))
    assert list(output.by_subset) == ["S"]
    torch.testing.assert_close(model.probabilities(output.logits[1]), torch.full((CLASSES,), 1 / 3))
    with pytest.raises(ValueError, match="need a fusion"):
        EmotionModel({"speech": Mean("speech"), "text": Mean("text")}, CLASSES)


def test_modality_dropout_shows_every_subset_and_never_nothing():
    torch.manual_seed(0)
    presence = {m: torch.tensor([p[i] for p in ALL]).repeat(400) for i, m in enumerate(MODALITIES)}
    shown = drop_modalities(presence, 0.7)
    before = torch.stack(list(presence.values()), 1)
    after = torch.stack(list(shown.values()), 1)
    assert not (after & ~before).any()
    assert torch.equal(after.any(1), before.any(1))
    full = after[before.all(1)]
    seen = {tuple(row.tolist()) for row in full}
    assert len(seen) == 7
    assert 0.2 < full.all(1).float().mean() < 0.55
    kept = drop_modalities(presence, 0.0)
    assert all(torch.equal(kept[m], presence[m]) for m in MODALITIES)


def test_contributions_are_shapley_values():
    model = make_model()
    output = model(make_batch([(True, True, True)]), subsets=list(SUBSETS))
    values = {k: model.probabilities(v)[0] for k, v in output.by_subset.items()}
    shares = contributions(values, model.prior, list(MODALITIES), 1)
    assert sum(shares.values()) == pytest.approx(float(values["TSF"][1] - model.prior[1]), abs=1e-6)
    orders = [("text", "speech", "face"), ("text", "face", "speech"), ("speech", "text", "face"),
              ("speech", "face", "text"), ("face", "text", "speech"), ("face", "speech", "text")]  # fmt: skip
    expected = 0.0
    for order in orders:  # the definition: mean marginal gain over all orders
        before = order[: order.index("speech")]
        low = float(values[subset_key(before)][1] if before else model.prior[1])
        expected += (float(values[subset_key([*before, "speech"])][1]) - low) / 6
    assert shares["speech"] == pytest.approx(expected, abs=1e-6)


def test_multi_label_probabilities_do_not_compete():
    model = make_model(task="multi")
    p = model.probabilities(torch.tensor([[3.0, 3.0, -3.0]]))
    assert p[0, 0] > 0.9
    assert p[0, 1] > 0.9
