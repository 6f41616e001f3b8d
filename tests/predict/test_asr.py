"""Whisper models that say what they are told: times, languages, windows, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from multiemo.errors import ConfigError
from multiemo.predict.asr import Transcriber
from multiemo.transcripts import Transcript
from tests.support.media_files import wav
from tests.support.tiny_speech import save_model
from tests.support.tiny_whisper import save_whisper

SCRIPT = (0.5, "你好", 1.0, 1.0, " OK [music]", 2.5)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(16000 * seconds)).astype(np.float32)


def times(words: Transcript) -> list[tuple[float, float, str]]:
    return [(round(c.start, 6), round(c.end, 6), c.text) for c in words.cues]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_whisper(tmp_path_factory.mktemp("whisper"), SCRIPT)


@pytest.fixture(scope="module")
def whisper(folder: Path) -> Transcriber:
    return Transcriber(str(folder), device="cpu")


def test_words_with_times(whisper, folder):
    words = whisper.transcribe(noise(4.0), 10.0)
    assert times(words) == [(10.5, 11.0, "你好"), (11.0, 12.5, "OK")]
    assert (words.timed, words.language) == (True, "zh")
    assert words.source == f"speech recognition by {folder}"
    assert words.notes == ("1 description(s) of sounds such as [music] or (laughs) were left out",)
    assert words.between(10.0, 11.2) == "你好"
    assert whisper(noise(4.0), 10.0) == words.cues


def test_times_end_with_the_sound(whisper):
    assert times(whisper.transcribe(noise(1.4))) == [(0.5, 1.0, "你好"), (1.0, 1.4, "OK")]
    short = whisper.transcribe(noise(0.8))
    assert times(short) == [(0.5, 0.8, "你好")]
    assert short.notes[0] == "1 caption(s) after the end of the sound were dropped: the model invented them"


def test_more_than_thirty_seconds(whisper):
    words = whisper.transcribe(noise(41.0))
    assert times(words) == [(0.5, 1, "你好"), (1, 2.5, "OK"), (30.5, 31, "你好"), (31, 32.5, "OK")]


def test_nothing_to_hear(whisper):
    for length in (0, 100):
        words = whisper.transcribe(noise(1)[:length], 3.0)
        assert words.cues == ()
        assert words.notes == (f"no words were recognised from 3.00 to {3 + length / 16000:.2f} s",)
    with pytest.raises(ValueError, match=r"\[N\] mono"):
        whisper.transcribe(np.zeros((2, 16000), np.float32))


def test_silence_has_no_words(tmp_path):
    sure = Transcriber(str(save_whisper(tmp_path / "a", SCRIPT, spoken="<|nospeech|>")), device="cpu")
    assert len(sure.transcribe(noise(3.0)).cues) == 2  # its words are likely, so they were said
    unsure = Transcriber(str(save_whisper(tmp_path / "b", SCRIPT, spoken="<|nospeech|>", strength=0)), device="cpu")
    assert unsure.transcribe(noise(3.0)).cues == ()


def test_a_file_without_words_has_no_language(tiny_run, tmp_path, cli):
    sound = wav(tmp_path / "noise.wav", [noise(3.0)], rate=16000)
    whisper = save_whisper(tmp_path / "w", SCRIPT, spoken="<|nospeech|>", strength=0)
    _, out, _ = cli("predict", tiny_run, sound, "--asr", whisper, "--asr-language", "zh", "--json", "-")
    (entry,) = json.loads(out)["inputs"]
    assert entry["words"] == {"absent": f"speech recognition by {whisper} recognised no words"}
    assert any("no words" in note for note in entry["notes"])
    speaks = save_whisper(tmp_path / "v", SCRIPT)
    _, out, _ = cli("predict", tiny_run, sound, "--asr", speaks, "--asr-language", "en", "--json", "-")
    (entry,) = json.loads(out)["inputs"]
    assert entry["words"] == {"source": f"speech recognition by {speaks}", "language": "en"}
    code, _, err = cli("predict", tiny_run, sound, "--asr", speaks, "--asr-language", "fr")
    assert (code, "it supports en, zh" in err) == (2, True)


def test_broken_samples_do_not_stop_it(whisper):
    samples = noise(3.0)
    samples[1000:2000] = np.nan
    assert len(whisper.transcribe(samples).cues) == 2


def test_a_span_is_encoded_once_and_a_new_one_anew(folder):
    whisper = Transcriber(str(folder), device="cpu")
    seen: list[torch.Tensor] = []
    whisper._model.get_encoder().conv1.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    for seed in (0, 1):
        whisper.transcribe(noise(3.0, seed))
    assert len(seen) == 2
    assert not torch.equal(seen[0], seen[1])


def test_the_language_can_be_given(folder, tmp_path):
    assert Transcriber(str(folder), language="en", device="cpu").transcribe(noise(3.0)).language == "en"
    with pytest.raises(ConfigError, match=r"does not support the language 'fr'; it supports en, zh"):
        Transcriber(str(folder), language="fr")
    english = str(save_whisper(tmp_path, (0.0, "Bonjour tout le monde", 1.0), languages=()))
    assert Transcriber(english, device="cpu").transcribe(noise(3.0)).language == "en"
    with pytest.raises(ConfigError, match="it supports en"):
        Transcriber(english, language="zh")


def test_a_model_without_times_gives_those_of_the_sound(tmp_path):
    whisper = Transcriber(str(save_whisper(tmp_path, ("I know",), with_times=False, languages=())), device="cpu")
    assert times(whisper.transcribe(noise(2.0), 1.0)) == [(1.0, 3.0, "I know")]
    assert times(whisper.transcribe(noise(40.0))) == [(0.0, 30.0, "I know"), (30.0, 40.0, "I know")]


def test_what_is_no_whisper(tmp_path):
    with pytest.raises(ConfigError, match=r"--asr: .* is a 'hubert' model; give a Whisper model"):
        Transcriber(str(save_model("hubert", tmp_path)))
    with pytest.raises(ConfigError, match=r"--asr: .* is not a folder"):
        Transcriber(str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match=r"'openai/whisper-small' is not in the local model cache"):
        Transcriber("openai/whisper-small", offline=True)
    bare = save_model("whisper", tmp_path)
    with pytest.raises(ConfigError, match=r"has no tokenizer\.json"):
        Transcriber(str(bare))
    (bare / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigError, match="cannot be loaded as a Whisper model"):
        Transcriber(str(bare))


def test_part_of_the_weights_is_not_enough(tmp_path, folder):
    from safetensors.torch import load_file, save_file

    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    kept = {name: value for name, value in weights.items() if "decoder.layers.0.fc1" not in name}
    save_file(kept, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigError, match=r"lacks the weights of 2 parameters"):
        Transcriber(str(tmp_path))
