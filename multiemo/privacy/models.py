"""The branches of a run that are attacked and evaluated, and branches that are trained like them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from multiemo.config import DataConfig, SplitConfig
from multiemo.config.reading import load_stored
from multiemo.data.manifest.reading import write_manifest
from multiemo.errors import CheckpointError, ConfigError
from multiemo.progress import Progress
from multiemo.runs.batches import Part, prepare_part
from multiemo.runs.device import Compute, compute_of
from multiemo.runs.folder.evaluation_log import run_folder_of
from multiemo.runs.folder.recorded_paths import cache_of
from multiemo.runs.folder.source import stored_source
from multiemo.runs.model_folder import Bundle, load_bundle
from multiemo.runs.pipeline import train
from multiemo.runs.sources import Source, has_label
from multiemo.types import Clip, Modality

#: Name of the manifests that are written for trainings.
_MANIFEST = "clips.jsonl"


@dataclass(frozen=True, slots=True)
class Branch:
    """One branch of a run, with its manifest and split.

    Args:
        modality: what it reads.
        bundle: the branch.
        source: its manifest and split.
        home: run folder.
        compute: device and precision of evaluation.
    """

    modality: Modality
    bundle: Bundle
    source: Source
    home: Path
    compute: Compute

    @property
    def cache(self) -> str | None:
        """The cache of the run, which holds inputs made from the originals."""
        return cache_of(self.home, self.bundle.config.data.cache)

    def labelled(self, clips: Sequence[Clip]) -> list[Clip]:
        """The clips that have the annotation that the branch learns."""
        return [c for c in clips if has_label(c, self.source.label_from, self.bundle.config.task)]

    def prepared(self, clips: Sequence[Clip], folder: Path, cache: str | None, *, bundle: Bundle | None = None) -> Part:
        """Preprocess clips for the branch.

        Args:
            clips: rows.
            folder: folder of their manifest.
            cache: folder of the cache; ``None`` is the user's.
            bundle: another model of the same modality, instead of the branch.
        """
        bundle = bundle or self.bundle
        data = bundle.config.data.model_copy(update={"cache": cache})
        config = bundle.config.model_copy(update={"data": data})
        changed = {c.id: c for c in clips}
        dialogue = [changed.get(c.id, c) for c in self.source.clips]
        return prepare_part(config, folder, clips, bundle.inputs, label_from=self.source.label_from, dialogue=dialogue)

    def trained(self, clips: Sequence[Clip], folder: Path, out: Path, cache: str | None, *, seed: int) -> Bundle:
        """Train a new model like the branch, with the settings of the run.

        Args:
            clips: labelled rows; ``split`` is the part of each.
            folder: folder in which the manifest is written; paths of the rows are relative to it.
            out: run folder to write.
            cache: folder of the cache; ``None`` is the user's.
            seed: random seed of the training.

        Raises:
            MultiemoError: the training fails.
        """
        write_manifest(clips, folder / _MANIFEST)
        m, run = self.modality, load_stored(self.home / "config.yaml")
        split = SplitConfig(kind="official", group_by=self.source.split.group_by)
        data = DataConfig(
            manifest=str(folder / _MANIFEST),
            split=split,
            label_from=self.source.label_from,  # type: ignore[arg-type]
            workers=run.data.workers,
            cache=cache,
            skip_bad=run.data.skip_bad,
        )
        config = run.model_copy(
            update={
                "data": data,
                "seed": seed,
                "encoders": {m: run.encoders[m]},
                "stages": (m,),
                "per_stage": {k: v for k, v in run.per_stage.items() if k == m},
                "recipes": {k: v for k, v in run.recipes.items() if k == m},
                "init": {k: v for k, v in run.init.items() if k == m},
                "branches": {},
                "trackers": (),
            }
        )
        bundle = train(config, out).bundle
        assert bundle is not None  # the stage learns labels, as the branch did
        return bundle


def branches_of(
    run: Path, device: str, progress: Progress, manifest: Path | None = None
) -> tuple[Bundle, list[Branch]]:
    """The model of a run, and its branches.

    Args:
        run: run folder, or the folder of one of its branches.
        device: device, as in :func:`multiemo.runs.device.compute_of`.
        progress: receives notes about branches that are left out.
        manifest: new path of the manifest of the run.

    Raises:
        MultiemoError: the run is incomplete, or its manifest has changed.
    """
    main, home = load_bundle(run), run_folder_of(run)
    found = []
    for m in main.inputs:
        try:
            bundle = main if len(main.inputs) == 1 else load_bundle(run / "branches" / m)
        except CheckpointError as error:
            progress.note(f"{m} is left out: it has no branch of its own in this run ({error})")
            continue
        source, _ = stored_source(home, bundle, manifest)
        found.append(Branch(m, bundle, source, home, compute_of(bundle.config, device)))
    if not found:
        raise ConfigError(f"{run}: has no branches; give the runs that its branches were taken over from")
    return main, found


def in_part(clip: Clip, part: str) -> Clip:
    """A row that belongs to another part."""
    return replace(clip, split=part)
