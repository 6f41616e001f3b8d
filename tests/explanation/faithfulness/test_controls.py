"""Copies with shuffled weights and disturbed inputs: they differ, and the originals do not change."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from multiemo.encoders.base import Encoder
from multiemo.explanation.faithfulness.controls import NOISE, disturbed, disturbed_copy, is_tokens, shuffled_copy
from multiemo.model import EmotionModel
from multiemo.runs.device import Compute
from multiemo.types import Sample

CPU = Compute(torch.device("cpu"))


class Toy(Encoder):
    """A token table, a matrix and a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.out_dim = 6
        self.table = nn.Embedding(20, 6)
        self.layer = nn.Linear(6, 6)
        self.norm = nn.BatchNorm1d(6)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.norm(self.layer(self.table(x))[:, 0])  # type: ignore[no-any-return]


@pytest.fixture
def model() -> EmotionModel:
    torch.manual_seed(0)
    made = EmotionModel({"text": Toy()}, 3).eval()
    norm = made.encoders["text"].norm
    assert isinstance(norm, nn.BatchNorm1d)
    norm.running_mean = torch.full((6,), 40.0)
    return made


def samples() -> list[Sample]:
    """Twenty clips of one token each, all different."""
    nothing = torch.zeros(3)
    return [Sample(str(i), "c", "s", {"text": torch.tensor([i])}, {}, None, nothing) for i in range(20)]


def test_shuffled_weights_are_the_same_numbers_in_another_order(model: EmotionModel) -> None:
    before = {name: w.clone() for name, w in model.state_dict().items()}
    copy = shuffled_copy(model, CPU, samples(), 0)
    assert all(torch.equal(w, before[name]) for name, w in model.state_dict().items())
    assert not any(m.training for m in [*model.modules(), *copy.modules()])
    for (name, theirs), ours in zip(copy.named_parameters(), model.parameters(), strict=True):
        assert torch.equal(theirs.flatten().sort().values, ours.flatten().sort().values), name
        if ours.unique().numel() > 2:
            assert not torch.equal(theirs, ours), name


def test_batch_statistics_are_those_of_the_shuffled_weights(model: EmotionModel) -> None:
    """Of the first sixteen clips; otherwise the trained mean of 40 would push every activation far off."""
    copy = shuffled_copy(model, CPU, samples(), 0)
    encoder = copy.encoders["text"]
    assert isinstance(encoder, Toy)
    values = encoder.layer(encoder.table(torch.arange(16)))
    assert torch.allclose(encoder.norm.running_mean, values.mean(dim=0), atol=1e-5)  # type: ignore[arg-type]
    assert torch.allclose(encoder.norm.running_var, values.var(dim=0), atol=1e-5)  # type: ignore[arg-type]
    single = shuffled_copy(model, CPU, samples()[:1], 0).encoders["text"]
    assert float(single.norm.running_mean[0]) == 40  # type: ignore[index,union-attr,arg-type]


def test_shuffles_depend_on_the_seed_alone(model: EmotionModel) -> None:
    copies = [shuffled_copy(model, CPU, samples(), seed).state_dict() for seed in (1, 1, 2)]
    table = "encoders.text.table.weight"
    assert torch.equal(copies[0][table], copies[1][table])
    assert not torch.equal(copies[0][table], copies[2][table])


def test_only_token_tables_are_disturbed_and_a_little(model: EmotionModel) -> None:
    before = {name: w.clone() for name, w in model.state_dict().items()}
    after = disturbed_copy(model, 0).state_dict()
    assert all(torch.equal(w, before[name]) for name, w in model.state_dict().items())
    changed = {name for name, w in after.items() if not torch.equal(w, before[name])}
    assert changed == {"encoders.text.table.weight"}
    noise = after["encoders.text.table.weight"] - before["encoders.text.table.weight"]
    assert float(noise.std() / before["encoders.text.table.weight"].std()) == pytest.approx(NOISE, rel=0.2)


def test_noise_follows_the_unit_of_each_column() -> None:
    x = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 100.0, 0.0])
    noise = disturbed(x, 1) - x
    assert noise.std(dim=0).tolist() == pytest.approx([0.05, 5.0, 0.0], rel=0.1)
    assert torch.equal(disturbed(x, 1), disturbed(x, 1))


def test_noisy_pictures_are_still_pictures() -> None:
    x = torch.randint(0, 256, (1, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    noisy = disturbed(x, 0)
    assert noisy.dtype == torch.uint8
    assert not torch.equal(noisy, x)
    assert int((noisy.int() - x.int()).abs().max()) < 40  # no value wraps around
    row = torch.randn(1, 5)  # one row of features has no spread over time
    assert not torch.equal(disturbed(row, 0), row)
    assert disturbed(row, 0).isfinite().all()


@pytest.mark.parametrize(
    ("x", "expected"),
    [(torch.zeros(3, dtype=torch.int64), True), (torch.zeros(3, dtype=torch.uint8), False), (torch.zeros(3), False)],
)
def test_token_ids_are_told_from_pixels_and_numbers(x: Tensor, expected: bool) -> None:
    assert is_tokens(x) is expected
