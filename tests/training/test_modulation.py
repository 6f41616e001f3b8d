"""Gradients modulated as the authors' own code has it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from multiemo.config import TrainingConfig
from multiemo.data.collate import Collate
from multiemo.training.losses import single_process
from multiemo.training.modulation import Modulation
from tests.support.tiny_training import CLASSES, MODALITIES, fit, make_model, make_samples


def by_the_authors(alpha: float, out_a: Tensor, out_v: Tensor, label: Tensor) -> tuple[float, float]:
    """Equation 10 of Peng et al. (2022) as their published ``main.py`` has it: coefficients of sound and picture."""
    score_v = sum(out_v.softmax(1)[i, label[i]] for i in range(len(label)))
    score_a = sum(out_a.softmax(1)[i, label[i]] for i in range(len(label)))
    ratio_v = score_v / score_a
    ratio_a = 1 / ratio_v
    if ratio_v > 1:
        return 1.0, float(1 - torch.tanh(alpha * torch.relu(ratio_v)))
    return float(1 - torch.tanh(alpha * torch.relu(ratio_a))), 1.0


@pytest.mark.parametrize("ahead", MODALITIES)
@pytest.mark.parametrize("alpha", [0.1, 0.8])
def test_modulation_has_the_coefficients_of_the_authors(alpha, ahead):
    torch.manual_seed(0)
    samples = [s for s in make_samples(40, 0) if "face" in s.inputs]
    batch = Collate(MODALITIES, CLASSES)(samples)
    logits = {m: torch.randn(len(batch), CLASSES) + (2.0 if m == ahead else 0.2) * batch.target for m in MODALITIES}
    modulation = Modulation(alpha, multi=False, across=single_process)
    modulation.add(logits, batch)
    wanted = by_the_authors(alpha, logits["speech"], logits["face"], batch.target.argmax(1))
    got = modulation.factors()
    assert (float(got["speech"]), float(got["face"])) == pytest.approx(wanted, rel=1e-5)
    assert min(wanted) < 1 - alpha / 2  # a modality that is barely ahead is slowed down by tanh(alpha) already


def test_modulation_compares_over_the_step_on_clips_that_can_be_compared():
    """Two batches are as one; clips without a label, or with one modality, tell nothing of which one is ahead."""
    torch.manual_seed(0)
    samples = make_samples(40, 0)
    for sample in samples[:7]:
        sample.target = None
    collate = Collate(MODALITIES, CLASSES)
    counted = [s for s in samples[7:] if "face" in s.inputs]
    said = {s.id: torch.randn(2, CLASSES) for s in samples}
    for sample in samples:
        if sample not in counted:
            said[sample.id] = torch.tensor([[90.0, 0, 0], [0, 0, 90.0]])

    def factors(*groups):
        modulation = Modulation(0.5, multi=False, across=single_process)
        for group in groups:
            rows = torch.stack([said[s.id] for s in group])
            modulation.add({m: rows[:, i] for i, m in enumerate(MODALITIES)}, collate(group))
        return modulation.factors()

    wanted = factors(counted)
    assert min(float(f) for f in wanted.values()) < 1
    for got in (factors(samples), factors(samples[:9], samples[9:])):
        for m, factor in wanted.items():
            torch.testing.assert_close(got[m], factor)
    alone_ = [s for s in samples if "face" not in s.inputs]
    assert factors(alone_) == {"speech": torch.tensor(1.0), "face": torch.tensor(1.0)}


def test_three_modalities_are_each_compared_with_the_mean_of_the_others():
    samples = [replace(s, inputs={m: torch.ones(1, 5) for m in ("text", *MODALITIES)}) for s in make_samples(9, 0)]
    del samples[0].inputs["text"]
    batch = Collate(("text", *MODALITIES), CLASSES)(samples)
    torch.manual_seed(1)
    logits = {m: torch.randn(9, CLASSES) for m in ("text", *MODALITIES)}
    right = {m: (x.softmax(1) * batch.target).sum(1) for m, x in logits.items()}
    modulation = Modulation(0.3, multi=False, across=single_process)
    modulation.add(logits, batch)
    got = modulation.factors()
    for m, own in right.items():
        rows = slice(1, None) if m == "text" else slice(None)
        rest = [o for o in right if o != m]
        other = torch.stack([right[o] for o in rest]).mean(0)
        if m != "text":
            other[0] = right["face" if m == "speech" else "speech"][0]
        ratio = own[rows].sum() / other[rows].sum()
        torch.testing.assert_close(got[m], 1 - torch.tanh(0.3 * ratio) if ratio > 1 else torch.tensor(1.0))


def test_modulation_changes_the_gradients_of_weights_as_the_authors_do():
    """Each weight's gradient times k, plus noise of the spread of its elements, for both modalities; nothing else."""
    torch.manual_seed(0)
    batch = Collate(MODALITIES, CLASSES)(make_samples(40, 0))
    modulation = Modulation(0.8, multi=False, across=single_process)
    parts = {m: nn.Sequential(nn.Conv2d(8, 64, 3), nn.BatchNorm2d(64), nn.Embedding(9, 4)) for m in MODALITIES}
    before = {}
    for m, part in parts.items():
        for name, parameter in part.named_parameters():
            parameter.grad = torch.randn_like(parameter) * 3 + 2
            before[m, name] = parameter.grad.clone()

    def modulate(seed):
        for m, part in parts.items():
            for name, parameter in part.named_parameters():
                parameter.grad = before[m, name].clone()
        modulation.add({"speech": batch.target * 4, "face": batch.target * 0.1}, batch)
        modulation(parts, seed)
        return {(m, n): p.grad for m, part in parts.items() for n, p in part.named_parameters()}

    modulation.add({"speech": batch.target * 4, "face": batch.target * 0.1}, batch)
    factors = modulation.factors()
    assert factors["speech"] < 1
    assert factors["face"] == 1
    got = modulate(1)
    for (m, name), gradient in before.items():
        noise = got[m, name] - gradient * factors[m]
        if name != "0.weight":
            assert torch.equal(got[m, name], gradient), name  # vectors, and rows that no clip has read
            continue
        assert float(noise.std()) == pytest.approx(float(gradient.std()), rel=0.05)
        assert abs(float(noise.mean())) < 0.15
    assert all(torch.equal(a, b) for a, b in zip(got.values(), modulate(1).values(), strict=True))
    assert not torch.equal(got["face", "0.weight"], modulate(2)["face", "0.weight"])


def test_modulation_in_training_changes_the_weights():
    one, other = make_model(), make_model()
    fit(one, TrainingConfig(epochs=1, lr=1e-2))
    fit(other, TrainingConfig(epochs=1, lr=1e-2, modulation=1.0))
    assert any(not torch.equal(v, other.state_dict()[k]) for k, v in one.state_dict().items())
