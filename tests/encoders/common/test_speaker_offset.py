"""What is usual for a speaker, estimated from few clips."""

from __future__ import annotations

import pytest
import torch

from multiemo.encoders.base import encode_rows
from multiemo.encoders.common.speaker_offset import SpeakerOffset
from multiemo.encoders.features.features import FeatureEncoder
from multiemo.encoders.speech.speech_prosody import SpeechProsody
from multiemo.types import PROSODY_CHANNELS, Batch


def drawn(speakers: int, clips: int, between: float, within: float, seed: int = 0) -> tuple[torch.Tensor, list[str]]:
    """Means of clips in one column, whose speakers and clips vary by known standard deviations about 3."""
    generator = torch.Generator().manual_seed(seed)
    centres = 3 + between * torch.randn(speakers, 1, 1, generator=generator)
    means = centres + within * torch.randn(speakers, clips, 1, generator=generator)
    return means.flatten(0, 1), [str(s) for s in range(speakers) for _ in range(clips)]


def fitted(between: float = 1.0, within: float = 2.0) -> SpeakerOffset:
    offset = SpeakerOffset(torch.tensor([True]))
    offset.fit(*drawn(400, 10, between, within))
    return offset


def test_the_ratio_is_that_of_the_variances() -> None:
    offset = fitted(between=1.0, within=2.0)
    assert float(offset.ratio) == pytest.approx(4.0, rel=0.2)
    assert float(offset.mean) == pytest.approx(3.0, abs=0.15)


@pytest.mark.parametrize("count", [1, 2, 4, 16])
def test_the_estimate_is_closer_than_nothing_and_than_the_mean_of_the_clips(count: int) -> None:
    offset = fitted()
    generator = torch.Generator().manual_seed(1)
    true = torch.randn(4000, 1, generator=generator)
    total = (3 + true.unsqueeze(1) + 2 * torch.randn(4000, count, 1, generator=generator)).sum(1)
    found = offset(total, torch.full((4000,), float(count)))

    def error(guess: torch.Tensor) -> float:
        return float((guess - true).square().mean())

    assert error(found) < error(torch.zeros_like(true))
    assert error(found) < error(total / count - 3)
    assert error(found) == pytest.approx(1 / (1 + count / 4), rel=0.1)  # variance of the posterior


def test_no_clip_gives_no_offset_and_other_columns_are_left() -> None:
    offset = SpeakerOffset(torch.tensor([True, False]))
    means, speakers = drawn(20, 5, 1.0, 1.0)
    offset.fit(means.repeat(1, 2), speakers)
    assert offset(torch.zeros(2), torch.tensor(0.0)).tolist() == [0, 0]
    shifted = offset(torch.tensor([50.0, 50.0]), torch.tensor(10.0))
    assert shifted[0] > 1
    assert shifted[1] == 0


@pytest.mark.parametrize("speakers", [["a"] * 6, ["a", "b", "c", "d", "e", "f"]])
def test_without_several_speakers_of_several_clips_there_is_no_offset(speakers: list[str]) -> None:
    offset = SpeakerOffset(torch.tensor([True]))
    offset.fit(torch.randn(6, 1), speakers)
    assert float(offset(torch.tensor([60.0]), torch.tensor(6.0))) == 0


def test_constant_columns_stay_finite() -> None:
    offset = SpeakerOffset(torch.tensor([True]))
    offset.fit(torch.full((6, 1), 2.0), ["a", "a", "a", "b", "b", "b"])
    assert float(offset(torch.tensor([9.0]), torch.tensor(3.0))) == 0


def test_the_offset_is_subtracted_from_real_steps_alone() -> None:
    encoder = FeatureEncoder(modality="face", dim=3, pooling="attention", speaker_normalization=True).eval()
    x, mask = torch.randn(2, 4, 3), torch.tensor([[True] * 4, [True, True, False, False]])
    x = x * mask.unsqueeze(-1)
    offsets = torch.randn(2, 3)
    batch = Batch(
        ["a", "b"], ["", ""], ["", ""], {"face": x}, {"face": mask}, {"face": torch.ones(2, dtype=torch.bool)},
        [{}, {}], torch.zeros(2, 2), torch.zeros(2, dtype=torch.bool), torch.zeros(2, 3),
    )  # fmt: skip
    batch.speaker_offsets = {"face": offsets}
    alone = torch.cat(
        [
            encoder(x[:1] - offsets[:1].unsqueeze(1), mask[:1]),
            encoder(x[1:, :2] - offsets[1:].unsqueeze(1), mask[1:, :2]),
        ]
    )
    torch.testing.assert_close(encode_rows(encoder, "face", batch), alone)
    torch.testing.assert_close(encode_rows(encoder, "face", batch, torch.tensor([1])), alone[1:])
    moved = batch.to("cpu")
    assert moved.speaker_offsets["face"].equal(offsets)


def test_prosody_that_is_no_matter_of_register_is_not_shifted() -> None:
    shifted = SpeechProsody(n_mels=8, speaker_normalization=True).speaker_offset
    assert shifted is not None
    kept = {name for name, on in zip(PROSODY_CHANNELS, shifted.columns[8:].tolist(), strict=True) if not on}
    assert {"voicing", "rate", "jitter", "shimmer"} <= kept
    assert not {"f0", "energy", "tilt"} & kept
    assert shifted.columns[:8].all()


def test_the_vector_of_a_clip_is_its_mean_over_real_steps() -> None:
    encoder = FeatureEncoder(modality="face", dim=2)
    x = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]])
    assert encoder.speaker_vector(x, torch.tensor([[True, True, False]])).tolist() == [[2, 3]]
