"""Front ends of speech models equal the library's own."""

from __future__ import annotations

import torch
import transformers

from multiemo.encoders.speech.frontends import KaldiFrontEnd, WhisperFrontEnd
from tests.support.tensors import padded, waves


def test_whisper_front_end_is_the_library_s_own() -> None:
    extractor = transformers.WhisperFeatureExtractor(feature_size=80)
    x, mask = padded(waves([1.0, 0.33]))
    clips = [row[keep].squeeze(1).numpy() for row, keep in zip(x, mask, strict=True)]
    expected = extractor(clips, sampling_rate=16000, return_tensors="pt").input_features
    ours, frames, attended = WhisperFrontEnd(extractor, whole=True)(x.squeeze(2), mask)
    torch.testing.assert_close(ours.transpose(1, 2), expected, atol=1e-4, rtol=0)
    assert frames.sum(1).tolist() == [50, 17]
    assert attended is None
    cut, frames, attended = WhisperFrontEnd(extractor)(x.squeeze(2), mask)
    torch.testing.assert_close(cut.transpose(1, 2), expected[..., :150], atol=1e-4, rtol=0)
    assert frames.sum(1).tolist() == [50, 17]
    assert attended is not None
    assert attended.sum(1).tolist() == [75, 42], "half a second more"


def test_kaldi_front_end_is_the_library_s_own() -> None:
    extractor = transformers.SeamlessM4TFeatureExtractor()
    x, mask = padded(waves([1.0, 0.33]))
    clips = [row[keep].squeeze(1).numpy() for row, keep in zip(x, mask, strict=True)]
    expected = extractor(clips, sampling_rate=16000, return_tensors="pt")
    ours, frames, _ = KaldiFrontEnd(extractor)(x.squeeze(2), mask)
    rows = expected["attention_mask"].bool()
    assert frames.sum(1).tolist() == rows.sum(1).tolist()
    torch.testing.assert_close(ours[frames], expected["input_features"][rows], atol=2e-3, rtol=0)
