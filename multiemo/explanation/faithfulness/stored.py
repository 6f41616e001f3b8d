"""The file ``faithfulness.json`` of a model folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch

from multiemo.encryption import read_sealed
from multiemo.errors import ConfigError, ManifestError
from multiemo.explanation.faithfulness.claims import claim_checks
from multiemo.explanation.faithfulness.measure import measure_faithfulness
from multiemo.explanation.faithfulness.records import ClaimCheck, Faithfulness
from multiemo.files import parse_json, write_atomically
from multiemo.progress import Progress
from multiemo.runs.folder.evaluation_log import run_folder_of
from multiemo.runs.folder.recorded_paths import cache_of
from multiemo.runs.folder.required_files import file_digest, model_folder
from multiemo.runs.folder.source import part_of, stored_source
from multiemo.runs.model_folder import Bundle, load_bundle

#: Name of the file, beside ``config.json``.
FAITHFULNESS = "faithfulness.json"


def measure_run(
    run: str | Path,
    *,
    manifest: str | Path | None = None,
    clips: int = 200,
    seed: int = 0,
    device: str | torch.device = "auto",
    progress: Progress | None = None,
) -> Faithfulness:
    """Measure the explanations of a finished run on its own validation part, and store the figures with its model.

    Args:
        run: run folder, or the folder of one of its branches.
        manifest: new path of the run's manifest, if it has moved.
        clips: number of clips, drawn evenly over speakers.
        seed: seed of everything random.
        device: device, as in :func:`multiemo.runs.device.compute_of`.
        progress: receives the number of finished clips.

    Raises:
        MultiemoError: the run is incomplete, has no validation part, or its media cannot be read.
    """
    folder = Path(run)
    bundle = load_bundle(folder)
    source, notes = stored_source(run_folder_of(folder), bundle, None if manifest is None else Path(manifest))
    part_of(source, "val")  # reports an empty part
    data = bundle.config.data.model_copy(update={"cache": cache_of(run_folder_of(folder), bundle.config.data.cache)})
    bundle.config = bundle.config.model_copy(update={"data": data})
    found = measure_faithfulness([(bundle, source)], clips=clips, seed=seed, device=device, progress=progress)
    place = model_folder(folder)
    claims, why = _claims(folder, bundle, manifest, device)
    found = replace(
        found,
        weights=file_digest(place / "model.safetensors"),
        claims=claims,
        notes=[*found.notes, *notes, *why],
    )
    write_atomically(place / FAITHFULNESS, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return found


def _claims(
    folder: Path, bundle: Bundle, manifest: str | Path | None, device: str | torch.device
) -> tuple[ClaimCheck | None, list[str]]:
    """Whether the model uses the modality it credits most, on all of its validation part; or a note why not.

    Args:
        folder: run folder.
        bundle: its model.
        manifest: new path of the run's manifest, if it has moved.
        device: device of the model.
    """
    if len(bundle.model.modalities) < 2 or bundle.config.task == "dimensions":
        return None, []
    try:
        return claim_checks(folder, device=device, manifest=manifest)[0], []
    except (ConfigError, ManifestError) as error:  # no clip has two modalities, or a label
        return None, [f"whether the model uses what it credits was not checked: {error}"]


def read_faithfulness(folder: str | Path) -> Faithfulness | None:
    """The measured faithfulness of a model; ``None`` if it was not measured, or on weights that have since changed.

    Args:
        folder: run, branch or model folder.

    Raises:
        CheckpointError: the folder has no model, or its ``faithfulness.json`` is damaged.
    """
    place = model_folder(Path(folder))
    if not (place / FAITHFULNESS).is_file():
        return None
    found = Faithfulness.read(place / FAITHFULNESS)
    return found if found.weights == parse_json(read_sealed(place / "config.json"))["weights"] else None
