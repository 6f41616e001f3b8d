"""The speaker adversary: the classifier learns, the encoder unlearns."""

from __future__ import annotations

import pytest
import torch

from multiemo.config import TrainingConfig
from multiemo.data.collate import Collate
from multiemo.errors import ConfigError
from multiemo.training.adversary import SpeakerAdversary
from multiemo.training.objectives import Labels
from tests.support.tiny_training import CLASSES, make_branch, make_samples

SPEAKERS = [f"s{n}" for n in range(6)]


def objective(weight: float) -> Labels:
    settings = TrainingConfig(speaker_adversary=weight)
    frequencies = torch.full((CLASSES,), 1 / CLASSES)
    return Labels(make_branch(), settings, task="single", frequencies=frequencies, speakers=SPEAKERS).eval()


def gradients(made: Labels) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the encoder and of the adversary, from the adversary's loss alone."""
    batch = Collate(("speech",), CLASSES)(make_samples(12, 0))
    batch.labelled = torch.zeros(12, dtype=torch.bool)
    made.zero_grad()
    made(batch).backward()
    encoder = next(p for p in made.model.encoders["speech"].parameters() if p.ndim > 1).grad
    return encoder.clone(), made.adversary.layers[1].weight.grad.clone()


def test_the_adversary_descends_and_the_encoder_ascends_in_proportion_to_the_weight():
    torch.manual_seed(0)
    one, three = objective(1.0), objective(3.0)
    three.load_state_dict(one.state_dict())
    (encoder, adversary), (stronger, same) = gradients(one), gradients(three)
    torch.testing.assert_close(stronger, 3 * encoder)
    torch.testing.assert_close(same, adversary)
    batch = Collate(("speech",), CLASSES)(make_samples(12, 0))
    embedding = one.model.encode(batch)["speech"]
    logits = one.adversary.layers(embedding)
    plain = torch.nn.functional.cross_entropy(logits, torch.tensor([i % 6 for i in range(12)]))
    weight = next(p for p in one.model.encoders["speech"].parameters() if p.ndim > 1)
    torch.testing.assert_close(encoder, -torch.autograd.grad(plain, weight)[0])


def test_mixed_clips_are_of_both_speakers_in_their_shares():
    torch.manual_seed(0)
    adversary, embedding = SpeakerAdversary(4, ["a", "b"], 1.0), torch.randn(2, 4)
    share, partner = torch.tensor([0.7, 1.0]), torch.tensor([1, 0])
    mixed = adversary(embedding, ["a", "b"], (share, partner))
    own, other = adversary(embedding, ["a", "b"]), adversary(embedding, ["b", "a"])
    torch.testing.assert_close(mixed, torch.stack([0.7 * own[0] + 0.3 * other[0], own[1]]))


def test_it_is_off_by_default_and_needs_known_speakers(tiny_config, tmp_path):
    assert Labels(make_branch(), TrainingConfig(), task="single", frequencies=torch.ones(3) / 3).adversary is None
    from types import SimpleNamespace

    from multiemo.runs.stage import _speakers
    from multiemo.types import Clip

    def stage(*speakers):
        clips = [Clip(id=str(i), corpus="c", speaker=s) for i, s in enumerate(speakers)]
        return SimpleNamespace(train=SimpleNamespace(dataset=SimpleNamespace(clips=clips)))

    assert _speakers(stage("b", "a", "b")) == ["c:a", "c:b"]
    with pytest.raises(ConfigError, match=r"training\.speaker_adversary: .*clip '1' has no speaker"):
        _speakers(stage("a", None))
    with pytest.raises(ConfigError, match="train has only 'c:a'"):
        _speakers(stage("a", "a"))
