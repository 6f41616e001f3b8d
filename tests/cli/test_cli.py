"""An option that cannot take effect ends the command with exit code 2 and a line that says why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.media_files import tone, write


@pytest.fixture
def here(tmp_path: Path, small_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one of each kind of input, in which the commands run."""
    monkeypatch.chdir(tmp_path)
    for name in ("one.png", "two.png"):
        cv2.imwrite(name, np.full((64, 64, 3), 90, np.uint8))
    write(tmp_path / "mono.wav", audio=tone(1.0, 16000), audio_codec="pcm_s16le", rate=16000)
    (tmp_path / "m.jsonl").write_text('{"id": "a", "corpus": "c", "text": "I am so happy"}\n', "utf-8")
    (tmp_path / "w.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n", "utf-8")
    (tmp_path / "p.json").write_text('{"inputs": []}', "utf-8")
    (tmp_path / "days.csv").write_text("date,valence\n2024-01-01,0.1\n", "utf-8")
    (tmp_path / "said.jsonl").write_text('{"input": "2024-01-01.wav", "segments": []}\n', "utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("predict RUN m.jsonl --text X", "m.jsonl: --text and --transcript apply to media files, not to a manifest"),
        (
            "predict RUN mono.wav m.jsonl --transcript w.srt",
            "--text and --transcript apply to media files, not to a manifest",
        ),
        ("predict RUN m.jsonl --text X --out O", "--text and --transcript apply to media files, not to a manifest"),
        (
            "predict RUN one.png two.png --transcript w.srt",
            "--transcript applies to a single file, and there are 2",
        ),
        ("predict RUN mono.wav --text X --asr W", "--asr is for files without a transcript"),
        ("predict RUN mono.wav --transcript w.srt --asr W", "--asr is for files without a transcript"),
        ("predict RUN mono.wav --cropped", "--cropped applies to still images, and no input is one"),
        ("predict RUN m.jsonl --cropped", '"cropped": true'),
        ("predict RUN --text X --cropped --out O", "--cropped applies to still images"),
        ("predict RUN one.png --window 4", "apply to films and audio files, and no input is one"),
        ("predict RUN m.jsonl --segments speech", "apply to films and audio files, and no input is one"),
        ("predict RUN --text X --segments windows --hop 1", "apply to films and audio files, and no input is one"),
        ("predict RUN mono.wav --segments whole --window 4", "with --segments whole there are no windows"),
        ("predict RUN mono.wav --hop 1", "hop: it applies to windows only"),
        ("predict RUN mono.wav --out O --window 4", "--out cannot be combined with --timeline"),
        ("predict RUN mono.wav --engine ray", "add --out DIR"),
        ("predict RUN --text X --track 2", "--track is an audio track of a file, and no input has one"),
        ("predict RUN one.png --track 2", "--track is an audio track of a file, and no input has one"),
        ("predict RUN mono.wav --json mono.wav", "--json: 'mono.wav' is a file to read"),
        ("predict RUN mono.wav --transcript w.srt --json w.srt", "--json: 'w.srt' is a file to read"),
        ("live RUN --replay mono.wav --camera 0", "with --replay no camera is opened"),
        ("live RUN --no-microphone --microphone 1", "with --no-microphone no microphone is opened"),
        ("live RUN --no-microphone --asr W", "--no-microphone switches it off"),
        ("predict RUN mono.wav --asr-language zh", "add --asr MODEL"),
        ("explain RUN mono.wav --asr-language zh", "add --asr MODEL"),
        ("explain RUN mono.wav --segments whole --window 4", "with --segments whole there are no windows"),
        ("explain RUN --text X --window 2", "apply to films and audio files, and no input is one"),
        ("explain RUN --text X --segments speech", "apply to films and audio files, and no input is one"),
        ("explain RUN one.png --track 3", "--track is an audio track of a file, and no input has one"),
        ("explain RUN --text X --start 1", "--start and --end apply to films and sound files"),
        ("explain RUN --text X --clip a", "--clip is the id of a manifest row"),
        ("explain RUN --text X --cropped", "--cropped applies to still images"),
        ("explain RUN mono.wav --text X --asr W", "--asr is for files without a transcript"),
        ("explain RUN --text X --clips 50", "--split, --manifest and --clips apply to the model as a whole"),
        ("explain RUN --text X --split test", "--split, --manifest and --clips apply to the model as a whole"),
        ("explain RUN --text X --language zh --json e.json", "add --out FILE"),
        ("explain RUN --global mono.wav --transcript w.srt", "as a whole: leave out the input, --transcript"),
        ("explain RUN --global --language zh --window 2 --most 9", "leave out --window, --most, --language"),
        ("explain RUN --global --asr W --asr-language zh --clip a", "leave out --asr, --asr-language, --clip"),
        ("explain RUN --global --segments whole --track 2 --cropped", "leave out --segments, --track, --cropped"),
        ("explain RUN --global --start 0 --end 2", "leave out --start, --end"),
        ("explain RUN one.png --out one.png", "--out: one.png: the name of the page must end in .html"),
        ("explain RUN one.png --json one.png", "--json: 'one.png' is a file to read"),
        ("live RUN --asr-language zh", "add --asr MODEL"),
        ("call RUN mono.wav --asr-language zh", "add --asr"),
        ("predict RUN a.wav b.wav --out bulk --asr-language zh", "cannot be combined"),
        ("call RUN mono.wav --left agent", "has one channel, so the speakers agent and right cannot be separated"),
        ("call RUN mono.wav --transcript w.srt --asr W", "a transcript was given"),
        ("mood p.json --run RUN", "p.json: contains predictions, so the run"),
        ("mood said.jsonl --run RUN", "said.jsonl: contains predictions, so the run"),
        ("mood days.csv --out ./days.csv", "days.csv: is the source to read; write to another file"),
        ("mood days.csv --json days.csv", "--json: 'days.csv' is a file to read"),
        ("mood days.csv --run RUN", "days.csv: contains values ('valence'), so the run"),
        ("cache prune --all --max-gb 1", "--all deletes every entry"),
        ("train c.yaml training.lr=1 training.lr=2", "override 'training.lr=1': is replaced by a later one"),
        ("train c.yaml training.lr=1 training={}", "override 'training.lr=1': is replaced by a later one"),
        ("benchmark c.yaml benchmark.folds=4 --folds 3", "override 'benchmark.folds=4': is replaced by a later one"),
        ("benchmark c.yaml benchmark.protocol=official --folds 3", "'benchmark.protocol=official': is replaced by"),
        ("benchmark c.yaml benchmark.seeds=4 --seeds 3", "override 'benchmark.seeds=4': is replaced by a later one"),
        ("train c.yaml training.budget={face: 9}", "training.budget.face: cannot take effect: the stage 'text' has no"),
    ],
)
def test_an_option_without_effect_is_refused(cli, here, tiny_run, line, says):
    (here / "c.yaml").write_text(
        "name: x\nlabel_set: polarity3\ndata: {manifest: m.jsonl}\nencoders: {text: {name: text_transformer}}\n"
        "stages: [text]\n",
        "utf-8",
    )
    words = line.replace("{face: 9}", "{face:_9}").split(" ")
    code, _, err = cli(*(str(tiny_run) if w == "RUN" else w.replace(":_", ": ") for w in words))
    *_, last = err.splitlines()
    assert (code, last.startswith("error: "), says in last) == (2, True, True), err
    assert not (here / "O").exists()


@pytest.mark.parametrize(
    "line",
    [
        "predict RUN one.png two.png --text X",
        "predict RUN one.png mono.wav --cropped",
        "predict RUN one.png mono.wav --segments windows --window 1",
        "call RUN mono.wav",
    ],
)
def test_an_option_that_one_input_can_use_is_taken(cli, here, tiny_run, line):
    code, _, err = cli(*(str(tiny_run) if w == "RUN" else w for w in line.split(" ")))
    assert code == 0, err


@pytest.mark.fault("SIGTERM while temporary files exist", "they are removed; the command ends with 143")
def test_sigterm_removes_temporary_files(tmp_path):
    code = (
        "import signal, tempfile, time\n"
        "from multiemo.cli import _ended_by_sigterm\n"
        "with _ended_by_sigterm(), tempfile.TemporaryDirectory(prefix='multiemo-'):\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o700]
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
