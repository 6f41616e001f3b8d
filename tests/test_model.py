from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import nn

import multiemo.fusion  # noqa: F401  (registers)
from multiemo.config import TrainingConfig
from multiemo.encoders.base import Encoder
from multiemo.model import EmotionModel, contributions, drop_modalities
from multiemo.registry import fusions
from multiemo.training.objectives import Labels
from multiemo.types import MODALITIES, SUBSETS, Batch, FeatureSpec, subset_key

CLASSES = 3


class Mean(Encoder):
    """A substitute for an encoder; it refuses empty rows."""

    def __init__(self, modality, dim=4, out=6):
        super().__init__()
        self.modality, self.out_dim, self.input_spec = modality, out, FeatureSpec(dim=dim)
        self.layer = nn.Linear(dim, out)

    def forward(self, x, mask):
        assert mask.any(dim=1).all(), "an encoder was fed an absent row"
        return self.layer((x * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True))


def make_model(fusion="gated", task="single", dimensions=False, prior=(0.5, 0.3, 0.2)):
    torch.manual_seed(0)
    encoders = {m: Mean(m) for m in MODALITIES}
    level = fusions.get(fusion, where="t").level
    dims = dict.fromkeys(MODALITIES, CLASSES if level == "decision" else 6)
    built = fusions.build(fusion, {}, where="fusion", dims=dims)
    shares = torch.tensor(prior)
    return EmotionModel(encoders, CLASSES, fusion=built, task=task, dimensions=dimensions, prior=shares).eval()


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


@pytest.mark.parametrize("fusion", fusions.names())
def test_of_dimensions_alone_what_train_never_knew_is_not_said_and_leaves_the_gradient_whole(fusion):
    model, batch = make_model(fusion, "dimensions", prior=(0.2, -0.1, float("nan"))), make_batch(ALL)
    batch.dimensions = torch.tensor([[0.5, -0.5, float("nan")]] * len(ALL))
    output = model(batch, subsets=list(SUBSETS))
    assert model.learnt_dimensions == [0, 1]
    assert output.dimensions[:, 2].isnan().all()
    assert output.dimensions[:, :2].abs().max() <= 1
    assert output.dimensions[7, :2].tolist() == pytest.approx([0.2, -0.1]), "with nothing there, the means of train"
    torch.testing.assert_close(output.by_subset["TS"][0], model(make_batch(ALL), subsets=["TS"]).by_subset["TS"][0],
                               equal_nan=True)  # fmt: skip
    labels = Labels(model, TrainingConfig(), task="dimensions", frequencies=model.prior)
    labels(batch).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert model.branch_heads["text"].layers[2].weight.grad[:2].abs().sum() > 0
    assert model.branch_heads["text"].layers[2].weight.grad[2].abs().sum() == 0


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


# ------------------------------------------------------------------------------------------- priors and dimensions
PRIOR = torch.tensor([0.7, 0.15, 0.1, 0.05])


class Spoken(Encoder):
    """Returns its input: the logits of a perfect branch."""

    def __init__(self, modality, out=4):
        super().__init__()
        self.modality, self.out_dim, self.input_spec = modality, out, FeatureSpec(dim=out)
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x, mask):
        return x[:, 0]


def perfect_branches(task, effective=None, n=6000):
    """A decision fusion over branches that return their modality's exact posterior, independent given the label.

    Returns:
        The model, a batch, and Bayes' log-likelihoods of the labels by modality.
    """
    generator = torch.Generator().manual_seed(5)
    learnt = PRIOR if effective is None else effective
    if task == "multi":
        target = (torch.rand(n, 4, generator=generator) < PRIOR).double()
    else:
        target = torch.eye(4)[torch.multinomial(PRIOR, n, replacement=True, generator=generator)].double()
    inputs, evidence = {}, {}
    for m, strength in zip(MODALITIES, (1.0, 1.6, 0.7), strict=True):
        x = strength * target + torch.randn(n, 4, generator=generator, dtype=torch.float64)
        evidence[m] = strength * x - (strength**2 / 2 if task == "multi" else 0.0)
        given = torch.logit(learnt) if task == "multi" else learnt.log()
        inputs[m] = (evidence[m] + given).float().unsqueeze(1)
    encoders = {m: Spoken(m) for m in MODALITIES}
    fusion = fusions.build("decision", {}, where="fusion", dims=dict.fromkeys(MODALITIES, 4))
    model = EmotionModel(encoders, 4, fusion=fusion, task=task, prior=PRIOR, effective_prior=effective).eval()
    for m in MODALITIES:
        model.branch_heads[m] = nn.Identity()
    here = torch.ones(n, dtype=torch.bool)
    batch = Batch(
        ids=[str(i) for i in range(n)], corpora=["c"] * n, speakers=["s"] * n, inputs=inputs,
        masks={m: here.unsqueeze(1) for m in MODALITIES}, presence=dict.fromkeys(MODALITIES, here), absent=[{}] * n,
        target=target.float(), labelled=here, dimensions=torch.full((n, 3), float("nan")),
    )  # fmt: skip
    return model, batch, evidence


def nll(logits, target, task):
    if task == "multi":
        return float(nn.functional.binary_cross_entropy_with_logits(logits, target.to(logits)))
    return float(-(logits.log_softmax(1) * target).sum(1).mean())


@pytest.mark.parametrize("task", ["single", "multi"])
def test_decision_fusion_starts_as_bayes_rule_in_every_subset(task):
    model, batch, evidence = perfect_branches(task)
    output = model(batch, subsets=list(SUBSETS))
    start = (torch.logit(PRIOR) if task == "multi" else PRIOR.log()).double()
    for key, members in SUBSETS.items():
        bayes = start + sum(evidence[m] for m in members)
        ours = nll(output.by_subset[key].double(), batch.target, task)
        assert ours == pytest.approx(nll(bayes, batch.target, task), abs=0.001), key
    product = sum((batch.inputs[m][:, 0].double() for m in MODALITIES), torch.zeros(1))
    assert nll(product, batch.target, task) > nll(bayes, batch.target, task) + 0.01, "the prior counted three times"


def test_decision_fusion_is_bayes_rule_under_the_prior_that_training_gave_it():
    effective = PRIOR.pow(0.3) / PRIOR.pow(0.3).sum()
    model, batch, evidence = perfect_branches("single", effective)
    said = model(batch, subsets=["TSF"]).by_subset["TSF"].log_softmax(1).double()
    bayes = (effective.log().double() + sum(evidence.values())).log_softmax(1)
    torch.testing.assert_close(said, bayes, atol=1e-4, rtol=0)
    nothing = {m: torch.zeros(len(batch), dtype=torch.bool) for m in MODALITIES}
    blind = model.probabilities(model.fuse(model.encode(batch), nothing))[0]
    torch.testing.assert_close(blind, effective)


def test_a_label_that_train_never_had_gets_no_evidence_from_any_branch():
    prior = torch.tensor([0.6, 0.4, 0.0])
    fusion = fusions.build("decision", {}, where="fusion", dims=dict.fromkeys(MODALITIES, 3))
    model = EmotionModel({m: Spoken(m, 3) for m in MODALITIES}, 3, fusion=fusion, prior=prior).eval()
    for m in MODALITIES:
        model.branch_heads[m] = nn.Identity()
    here = dict.fromkeys(MODALITIES, torch.ones(1, dtype=torch.bool))
    unsure = dict.fromkeys(MODALITIES, torch.tensor([[0.0, 0.0, -9.0]]))
    assert model.probabilities(model.fuse(unsure, here))[0, 2] < 1e-4


@pytest.mark.parametrize("fusion", fusions.names())
def test_a_clip_with_nothing_has_the_mean_dimensions_of_train(fusion):
    model = make_model(fusion, dimensions=True)
    model.dimension_means = torch.tensor([0.1, -0.2, 0.3])
    said = model(make_batch(ALL)).dimensions
    assert said.isfinite().all()
    torch.testing.assert_close(said[7], model.dimension_means)
    assert not torch.allclose(said[0], model.dimension_means)
    alone = EmotionModel({"speech": Mean("speech")}, CLASSES, dimensions=True).eval()
    assert alone(make_batch([(True, False, True)])).dimensions.tolist() == [[0.0, 0.0, 0.0]]


def test_a_dimension_that_train_never_knew_is_not_said():
    from multiemo.training.losses import dimension_loss

    model = make_model(dimensions=True)
    model.dimension_means = torch.tensor([0.1, float("nan"), float("nan")])
    output = model.train()(make_batch(ALL))
    assert output.dimensions.isnan().tolist() == [[False, True, True]] * 8
    assert model.learnt_dimensions == [0]
    known = torch.linspace(-0.5, 0.5, 8)
    target = torch.stack([known, torch.full((8,), float("nan")), torch.full((8,), float("nan"))], 1)
    dimension_loss(output.dimensions, target).backward()
    gradients = [p.grad for p in model.dimension_head.parameters()]
    assert all(g.isfinite().all() for g in gradients)
    assert gradients[-1].tolist()[1:] == [0.0, 0.0]
    assert gradients[-1][0] != 0


# ----------------------------------------------------------------------------------------------- reliability of inputs
def weights(**given):
    return {m: torch.full((8,), r) for m, r in given.items()}


@pytest.mark.parametrize("task", ["single", "multi", "dimensions"])
@pytest.mark.parametrize("fusion", fusions.names())
def test_an_unreliable_modality_counts_as_absent_and_a_reliable_one_in_full(fusion, task):
    model, batch = make_model(fusion, task=task), make_batch(ALL)
    embeddings, here = model.encode(batch), {m: batch.presence[m] for m in MODALITIES}
    here["text"] = torch.ones_like(here["text"])  # something in every row to rely on
    plain = model.fuse(embeddings, here)
    torch.testing.assert_close(model.fuse(embeddings, here, weights(speech=1.0, face=1.0)), plain)
    without = model.fuse(embeddings, {**here, "speech": torch.zeros_like(here["speech"])})
    torch.testing.assert_close(model.fuse(embeddings, here, weights(speech=0.0)), without)
    between = model.fuse(embeddings, here, weights(speech=0.25))
    torch.testing.assert_close(between, 0.25 * plain + 0.75 * without)


@pytest.mark.parametrize("value", [0.3, 0.0])
def test_modalities_that_are_equally_unreliable_count_in_full(value):
    model, batch = make_model("gated"), make_batch(ALL)
    embeddings, here = model.encode(batch), {m: batch.presence[m] for m in MODALITIES}
    plain = model.fuse(embeddings, here)
    torch.testing.assert_close(model.fuse(embeddings, here, weights(text=value, speech=value, face=value)), plain)
    alone = {m: shown & (m == "speech") for m, shown in here.items()}
    expected = model.fuse(embeddings, alone)
    torch.testing.assert_close(model.fuse(embeddings, alone, weights(speech=value)), expected)


def test_a_decision_fusion_multiplies_the_evidence_by_the_reliability_and_counts_the_prior_once():
    model, batch, evidence = perfect_branches("single")
    here, count = {m: batch.presence[m] for m in MODALITIES}, len(batch)
    given = {m: torch.linspace(0, 1, count).roll(7 * i) for i, m in enumerate(MODALITIES)}
    found = model.fuse(model.encode(batch), here, given).log_softmax(1).double()
    largest = torch.stack(list(given.values())).amax(0)
    relative = {m: (r / largest).double().unsqueeze(1) for m, r in given.items()}
    posterior = PRIOR.log().double() + sum(relative[m] * evidence[m] for m in MODALITIES)
    # Evidence of a normalised posterior differs from Bayes' by a constant in each row.
    torch.testing.assert_close(found, posterior.log_softmax(1), atol=1e-3, rtol=0)


class Fixed(nn.Module):
    """A substitute for a fitted reliability: the first value of the input."""

    def forward(self, x, mask):
        assert mask.any(dim=1).all(), "an absent row was measured"
        return x[:, 0, 0].abs().clamp(max=1.0)


def test_reliability_is_measured_where_the_modality_is_present_and_only_outside_training():
    torch.manual_seed(0)
    parts = {m: Mean(m) for m in MODALITIES}
    built = fusions.build("gated", {}, where="fusion", dims=dict.fromkeys(MODALITIES, 6))
    model = EmotionModel(parts, CLASSES, fusion=built, dimensions=True, reliability={"speech": Fixed()}).eval()
    batch = make_batch(ALL)
    batch.inputs["speech"][:, 0, 0] = 0.3
    output = model(batch, subsets=list(SUBSETS))
    expected = torch.where(batch.presence["speech"], 0.3, 1.0)
    torch.testing.assert_close(output.reliability["speech"], expected)
    embeddings, here = model.encode(batch), {m: batch.presence[m] for m in MODALITIES}
    torch.testing.assert_close(output.logits, model.fuse(embeddings, here, {"speech": expected}))
    torch.testing.assert_close(output.by_subset["TSF"], output.logits)
    silent = {**here, "speech": torch.zeros_like(here["speech"])}
    shares = [0.3 * model._dimensions(embeddings, here), 0.7 * model._dimensions(embeddings, silent)]
    torch.testing.assert_close(output.dimensions[0], sum(shares)[0])
    assert model.train()(batch).reliability == {}
