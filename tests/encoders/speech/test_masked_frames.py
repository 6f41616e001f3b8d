"""Learning from masked speech: hidden frames never leak, and the targets are the original frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import torch
import transformers

from multiemo.encoders.speech.frontends import KaldiFrontEnd
from multiemo.encoders.speech.masked_frames import BANDS, FLOOR, MaskedRows, MaskedWave, hide_spans
from multiemo.encoders.speech.speech_pretrained import SpeechPretrained
from multiemo.encoders.speech.speech_prosody import SpeechProsody
from multiemo.errors import ConfigError
from tests.support.no_sync import no_sync
from tests.support.tensors import padded, tracks, waves
from tests.support.tiny_speech import FAMILIES, P, save_model

STREAMS: list[dict[str, Any]] = [{}, {"prosody": False}, {"n_mels": 0}]


@pytest.mark.parametrize(("share", "span"), [(0.3, 2), (0.5, 10)])
def test_hidden_spans_have_their_share_and_stay_in_the_clip(share: float, span: int) -> None:
    torch.manual_seed(0)
    lengths = torch.full((200,), 400)
    lengths[::2] = 300
    hidden = hide_spans(lengths, 420, share, span)
    real = torch.arange(420) < lengths.unsqueeze(1)
    assert not (hidden & ~real).any()
    assert float(hidden.sum() / real.sum()) == pytest.approx(share, abs=0.03)
    changes = hidden[:, 1:] != hidden[:, :-1]
    runs = hidden.sum() / (changes.sum(1) / 2).sum()
    assert runs >= span * 0.95


def test_the_shortest_clips_are_asked_something_and_told_something() -> None:
    torch.manual_seed(0)
    lengths = torch.tensor([1, 2, 3, 12]).repeat(500)
    hidden = hide_spans(lengths, 12, 0.3, 10)
    counts = hidden.sum(1).view(-1, 4)
    assert (counts >= 1).all()
    assert (counts[:, 0] == 1).all()
    assert (counts[:, 1:].float().mean(0) < 0.8 * lengths[1:4]).all()


def rows_task(options: dict[str, Any]) -> tuple[SpeechProsody, MaskedRows, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    encoder = SpeechProsody(width=4, out_dim=8, dropout=0.0, **options)
    columns = encoder.input_spec.n_mels + P * encoder.input_spec.prosody
    clips = [3 + 2 * x for x in tracks([93, 40, 7, 130], columns)]
    encoder.fit_statistics(clips)
    return encoder, encoder.masked_task(), *padded(clips)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", STREAMS)
def test_hidden_rows_do_not_reach_the_prediction(options: dict[str, Any], training: bool) -> None:
    encoder, task, x, mask = rows_task(options)
    encoder.train(training)
    rows = hide_spans((mask.sum(1) + 7) // 8, 17, 0.3, 3).repeat_interleave(8, 1)[:, : x.shape[1]] & mask
    before = task.predict(encoder, x, mask, rows)
    changed = torch.where(rows.unsqueeze(-1), 5 * torch.randn_like(x), x)
    assert torch.equal(task.predict(encoder, changed, mask, rows), before)
    told = torch.where((mask & ~rows).unsqueeze(-1), 5 * torch.randn_like(x), x)
    assert not torch.allclose(task.predict(encoder, told, mask, rows), before, atol=1e-2)


@pytest.mark.parametrize("options", STREAMS)
def test_hidden_rows_are_learnt_without_reading_back(options: dict[str, Any]) -> None:
    encoder, task, x, mask = rows_task(options)
    with no_sync():
        loss, naive = task(encoder, x, mask)
        loss.backward()
    assert not naive.requires_grad
    # The smooth L1 of standard normal values against their mean.
    z = torch.randn(100_000)
    assert float(naive) == pytest.approx(float(torch.nn.functional.smooth_l1_loss(z, 0 * z)), rel=0.1)
    idle = ("pool.", "project.", "summary.")
    missing = [n for n, p in encoder.named_parameters() if p.grad is None and not n.startswith(idle)]
    assert missing == []
    assert all(p.grad is not None and p.grad.any() for p in task.parameters())


def test_one_row_is_enough() -> None:
    encoder, task, x, mask = rows_task({})
    loss, naive = task(encoder, x[:, :1], mask[:, :1])
    assert torch.isfinite(torch.stack([loss, naive])).all()
    assert naive > 0


def test_predictable_rows_are_predicted() -> None:
    torch.manual_seed(0)
    encoder = SpeechProsody(n_mels=0, width=8, out_dim=8)
    phase = 6.28 * torch.rand(32, 1, 1)
    t = torch.arange(160).view(1, -1, 1)
    x = torch.sin(t / 25 + phase + torch.arange(P) / 3)
    mask = torch.ones(32, 160, dtype=torch.bool)
    encoder.fit_statistics(x)
    task = encoder.masked_task()
    optimizer = torch.optim.AdamW([*encoder.parameters(), *task.parameters()], lr=1e-2)
    for _ in range(60):
        loss, naive = task(encoder.train(), x, mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.4 * naive


@pytest.fixture(params=FAMILIES)
def pretrained(request: pytest.FixtureRequest, tmp_path: Path) -> SpeechPretrained:
    return SpeechPretrained(model=str(save_model(request.param, tmp_path)), out_dim=8, freeze="none")


def test_hidden_sound_does_not_reach_the_prediction(pretrained: SpeechPretrained) -> None:
    torch.manual_seed(0)
    task = pretrained.eval().masked_task()
    x, mask = padded(waves([0.8, 0.5]))
    wave, real, _ = pretrained.split(x, mask)
    _, steps = task.frames(wave, real)
    hidden = hide_spans(steps.sum(1), steps.shape[1], 0.5, task.span)
    with torch.no_grad():
        before, heard = task.predict(pretrained, wave, real, hidden)
        samples = torch.nn.functional.pad(hidden.repeat_interleave(task.stride, 1), (0, task.stride))[
            :, : wave.shape[1]
        ]
        changed = torch.where(samples, torch.randn_like(wave), wave)
        assert torch.equal(task.predict(pretrained, changed, real, hidden)[0], before)
        told = torch.where(samples | ~real, wave, torch.randn_like(wave))
        assert (task.predict(pretrained, told, real, hidden)[0] - before)[heard].abs().max() > 1e-3


def test_hidden_sound_is_learnt_without_reading_back(pretrained: SpeechPretrained) -> None:
    torch.manual_seed(0)
    task = pretrained.train().masked_task()
    x, mask = padded(waves([0.8, 0.5, 0.05]))
    with no_sync():
        loss, naive = task(pretrained, x, mask)
        loss.backward()
    assert 0.3 < float(naive) < 0.5  # as of standard normal values
    assert torch.isfinite(loss)
    trained = [n for n, p in pretrained.backbone.named_parameters() if p.requires_grad]
    grads = dict(pretrained.backbone.named_parameters())
    assert [n for n in trained if grads[n].grad is None] == []


@pytest.mark.parametrize("kind", ["wav2vec2-group", "wav2vec2-bert"])
def test_hidden_sound_is_learnt_in_half_precision(kind: str, tmp_path: Path) -> None:
    pretrained = SpeechPretrained(model=str(save_model(kind, tmp_path)), freeze="none")
    task = pretrained.train().masked_task()
    x, mask = padded(waves([0.3, 0.2]))
    torch.manual_seed(1)
    _, exact = task(pretrained, x, mask)
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.float16):
        loss, naive = task(pretrained, x, mask)
    assert float(naive) == float(exact)
    loss.backward()
    grads = [p.grad for p in pretrained.backbone.parameters() if p.grad is not None]
    assert all(torch.isfinite(g).all() for g in grads)


def test_masks_of_training_are_off_while_sound_is_hidden(pretrained: SpeechPretrained) -> None:
    pretrained.time_mask = pretrained.feature_mask = 1.0
    wave, real, _ = pretrained.split(*padded(waves([0.4])))
    hidden = torch.zeros_like(real)
    for module in pretrained.train().modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    pretrained.backbone.eval()
    with torch.no_grad():
        asked, _ = pretrained.sequence(wave, real, hidden)
        trained, _ = pretrained.sequence(wave, real)
        torch.testing.assert_close(asked, pretrained.eval().sequence(wave, real)[0])
    assert not torch.allclose(asked, trained, atol=1e-3)


def test_frames_are_librosa_s_mel_bands_and_ignore_padding() -> None:
    torch.manual_seed(0)
    task = MaskedWave(4, 320, 16000)
    (clip,) = waves([0.5])
    wave, mask = clip.T, torch.ones(1, len(clip), dtype=torch.bool)
    ours, steps = task.frames(wave, mask)
    cut = clip[: len(clip) // 320 * 320].view(-1, 320).numpy() * librosa.filters.get_window("hann", 320)
    bank = librosa.filters.mel(sr=16000, n_fft=512, n_mels=BANDS, fmin=40.0, fmax=8000.0, norm=None)
    log = np.log(np.maximum(np.abs(np.fft.rfft(cut, 512)) ** 2 @ bank.T, FLOOR))
    expected = (log - log.mean(0)) / log.std(0)
    np.testing.assert_allclose(ours[0].numpy(), expected, atol=2e-2)
    assert steps.all()
    x, mask = padded([clip, torch.cat([clip, clip])])
    longer, real = task.frames(x.squeeze(-1), mask)
    torch.testing.assert_close(longer[0, real[0]], ours[0])


def test_kaldi_s_bands_are_standardised_over_what_is_seen() -> None:
    torch.manual_seed(0)
    front = KaldiFrontEnd(transformers.SeamlessM4TFeatureExtractor())
    wave, real = waves([1.0])[0].T, torch.ones(1, 16000, dtype=torch.bool)
    hidden = torch.zeros_like(real)
    hidden[:, 4000:9000] = True
    bands, steps, _ = front(wave.masked_fill(hidden, 0.0), real, hidden)
    frames = bands[steps].view(-1, 80)
    gone = torch.arange(len(frames)) * 160
    gone = (gone >= 4000) & (gone + 400 <= 9000)
    assert (frames[gone] == 0).all()
    torch.testing.assert_close(frames[~gone].mean(0), torch.zeros(80), atol=1e-3, rtol=0)
    torch.testing.assert_close(frames[~gone].std(0), torch.ones(80), atol=1e-2, rtol=0)


def test_a_frozen_model_has_nothing_to_learn(tmp_path: Path) -> None:
    encoder = SpeechPretrained(model=str(save_model("hubert", tmp_path)), freeze="all")
    with pytest.raises(ConfigError, match=r"encoders\.speech\.freeze: 'all' .*objective 'masked'"):
        encoder.masked_task()
