"""Networks that a model folder describes are bounded by the weights it holds."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest
import torch
from torch import nn

from multiemo.errors import CheckpointError
from multiemo.runs import load_bundle
from multiemo.runs.folder.required_files import model_folder
from multiemo.runs.size_limit import SPARE, TIMES, sized_by


def test_a_network_that_its_weights_can_fill_is_built_and_a_larger_one_never_drawn(tmp_path, monkeypatch) -> None:
    drawn: list[int] = []
    monkeypatch.setattr(nn.Linear, "reset_parameters", lambda self: drawn.append(self.out_features))
    stored = [torch.zeros(1000)]
    fits = (TIMES * 1000 + SPARE) // 1000
    with sized_by(stored, tmp_path):
        nn.Linear(1000, fits, bias=False)
    with sized_by(stored, tmp_path):
        nn.Linear(1000, fits, bias=False)
        with pytest.raises(CheckpointError, match=r"more than 10,004,000 parameters, but \S+ holds 1,000;"):
            nn.Linear(1, 1, bias=False)
    assert drawn == [fits, fits]
    nn.Linear(1000, 2 * fits, bias=False)  # the limit has ended


def test_without_stored_weights_and_in_other_threads_nothing_is_limited(tmp_path) -> None:
    with sized_by([], tmp_path):
        nn.Linear(11_000, 1000)
    built = []
    with sized_by([torch.zeros(1)], tmp_path):
        thread = threading.Thread(target=lambda: built.append(nn.Linear(11_000, 1000)))
        thread.start()
        thread.join()
    assert len(built) == 1


@pytest.mark.parametrize("deferred", [False, True])
def test_a_folder_whose_config_was_blown_up_is_refused(tiny_run: Path, tmp_path: Path, deferred: bool) -> None:
    folder = shutil.copytree(model_folder(tiny_run), tmp_path / "model")
    values = json.loads((folder / "config.json").read_text("utf-8"))
    values["config"]["encoders"]["text"]["dim"] = 64_000
    (folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=r"config\.json: describes a network of more than"):
        load_bundle(folder, deferred=deferred).model.encoders["text"]
