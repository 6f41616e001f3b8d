"""Evidence inside feature columns, against models whose answer is known."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from multiemo.encoders.features.features import FeatureEncoder
from multiemo.explanation.attribution import occlusion
from multiemo.explanation.evidence.base import ClipInput
from multiemo.explanation.evidence.features import FeatureEvidence, group_columns
from multiemo.explanation.evidence.sequences import without_steps
from multiemo.inputs import build_input
from multiemo.inputs.material import FeatureRows
from multiemo.types import FeatureSpec

NAMES = ("AU12_c", "AU12_r", "AU04_r", "energy")


class Planted:
    """A target that is a known function of the mean row, with the statistics of a real encoder."""

    def __init__(self, x, weights, steps_apart=None):
        encoder = FeatureEncoder(modality="face", dim=x.shape[1]).eval()
        encoder.standardize.mean.copy_(torch.tensor([0.2, 1.0, 0.5, 10.0]))
        encoder.standardize.std.copy_(torch.tensor([0.1, 0.5, 0.25, 2.0]))
        self.x, self.weights = x, torch.tensor(weights)
        self.compute = SimpleNamespace(device=torch.device("cpu"))
        self.model = SimpleNamespace(encoders=nn.ModuleDict({"face": encoder}))

    def __call__(self, x, mask):
        kept = mask.unsqueeze(-1).float()
        return ((x * kept).sum(1) / kept.sum(1)) @ self.weights


def clip(x, *, columns=NAMES, raw=None):
    entry = build_input("face", FeatureSpec(dim=x.shape[1], columns=columns))
    return ClipInput("face", entry, x, raw)


@pytest.mark.parametrize("steps", [1, 5])
def test_linear_model_has_its_closed_form(steps):
    x = torch.tensor([[0.6, 3.0, 0.0, 11.0]]).expand(steps, 4).contiguous()
    target = Planted(x, [1.0, 2.0, -3.0, 0.0])
    view = FeatureEvidence().views(clip(x), target)[0]
    expected = torch.tensor([1.0 * (0.6 - 0.2) + 2.0 * (3.0 - 1.0), -3.0 * (0.0 - 0.5), 0.0])
    torch.testing.assert_close(view.gradients(target), expected)
    torch.testing.assert_close(occlusion(view, target), expected)
    part = view.parts[0]
    assert (part.name, part.value, part.unit, part.deviation) == ("AU12 lip corner puller", 3.0, "intensity", 4.0)
    assert part.detail == "AU12 lip corner puller 4.0 sd above the mean"
    assert view.magnitude().tolist() == pytest.approx([4.0, 2.0, 0.5], rel=1e-5)


def test_model_without_gradients_has_no_integrated_gradients():
    x = torch.tensor([[0.6, 3.0, 0.0, 11.0]])
    target = Planted(x, [1.0, 2.0, -3.0, 0.0])
    frozen = SimpleNamespace(**vars(target))
    view = FeatureEvidence().views(clip(x), frozen)[0]
    assert view.gradients(lambda x, mask: target(x.detach(), mask)) is None


def test_smallest_change_moves_one_unit_towards_its_mean_and_stays_in_range():
    x = torch.tensor([[0.3, 2.0, 0.1, 10.0]])
    changes = list(FeatureEvidence().changes(clip(x), Planted(x, [0.0, 1.0, 0.0, 0.0])))
    assert [c.size for c in changes] == sorted(c.size for c in changes)
    first = changes[0]
    assert first.words == "AU12 lip corner puller at 1.88 instead of 2"
    assert first.tensor[0].tolist() == pytest.approx([0.275, 1.875, 0.1, 10.0])
    smile = [c for c in changes if c.name == "AU12 lip corner puller"]
    assert smile[-1].tensor[0, :2].tolist() == [0.0, 0.0]
    assert any(c.tensor[0, 2] > 0.5 for c in changes), "a unit below its mean is raised past it"
    moved = [(c.tensor - x != 0)[0] for c in changes]
    assert all(not (row[2] and row[1]) for row in moved)


def test_names_come_from_training_then_from_the_file_then_from_the_position():
    x = torch.zeros(1, 4)
    target = Planted(x, [0.0] * 4)
    raw = FeatureRows(x.numpy(), ("AU01_r", "AU02_r", "AU04_r", "AU05_r"))
    names = [[p.name for p in FeatureEvidence().views(c, target)[0].parts] for c in (
        clip(x, raw=raw), clip(x, columns=(), raw=raw), clip(x, columns=()))]  # fmt: skip
    assert names[0] == ["AU12 lip corner puller", "AU04 brow lowerer", "energy"]
    assert names[1][0] == "AU01 inner brow raiser"
    assert names[2][3] == "column 4"
    assert [g.columns for g in group_columns(["AU1_r", "AU01_c"])] == [(0, 1)]


def test_spans_of_a_sequence_find_the_planted_rows():
    x = torch.tensor([0.2, 1.0, 0.5, 10.0]).repeat(40, 1)
    x[20:25, 1] = 5.0
    target = Planted(x, [0.0, 1.0, 0.0, 0.0])
    view = FeatureEvidence().views(clip(x), target)[1]
    scores = occlusion(view, target)
    best = view.parts[int(scores.argmax())].name
    assert best in ("rows 21 to 22", "rows 23 to 25")
    assert view.magnitude().nonzero().flatten().tolist() == [8, 9]
    assert len(FeatureEvidence().views(clip(x[:1]), target)) == 1


def test_steps_are_left_out_and_never_all():
    x = torch.arange(4.0).unsqueeze(1)
    gone = torch.tensor([[False, True, False, True], [True] * 4, [False] * 4])
    variants, mask = without_steps(x, gone, torch.tensor([9.0]))
    assert [row[m].flatten().tolist() for row, m in zip(variants, mask, strict=True)] == [[0, 2], [9], [0, 1, 2, 3]]
