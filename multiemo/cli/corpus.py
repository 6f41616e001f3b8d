"""The commands prepare, merge, validate and cache."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from multiemo.cli.common import DeviceOption, JsonOption, write_json
from multiemo.errors import ConfigError

CacheOption = Annotated[Path | None, typer.Option("--folder", help="Default: $MULTIEMO_CACHE or the user's cache.")]


def prepare(
    corpus: Annotated[str, typer.Argument(help="Corpus adapter, for instance ravdess, meld or table.")],
    root: Annotated[Path, typer.Argument(help="Folder of the corpus as published, or a table.")],
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[OPTION=VALUE]...", help="Options of the adapter.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Manifest to write, .jsonl or .parquet.")] = Path("manifest.jsonl"),
    features_only: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Write what this model's branches make of the clips, in place of media."),
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Turn a corpus folder into a manifest with one row for each clip.

    With --features-only RUN, the manifest can be shared where the recordings cannot: no words, no media, and numbers in
    place of the names of clips and people.
    """
    from collections import Counter

    from multiemo.data.prepare import prepare as prepare_corpus
    from multiemo.data.splits.suggested import speaker_notes, train_options

    given = {}
    for option in options or ():
        key, equals, value = option.partition("=")
        if not equals:
            raise ConfigError(f"option {option!r}: write it as name=value")
        given[key] = value
    if features_only is not None:
        _share(features_only, corpus, root, out, given, device)
        return
    made = prepare_corpus(corpus, root, out, given)
    if made.root != root:
        typer.echo(f"the corpus is in {made.root}")
    renamed = [(pair, count) for pair, count in Counter(made.labels).most_common() if pair[0] != pair[1]]
    for (original, label), count in renamed[:20]:
        outcome = f"became {label}" if label else "is not in the label set, left out"
        typer.echo(f"label {original} {outcome}: {count}")
    if len(renamed) > 20:
        typer.echo(f"and {len(renamed) - 20} more labels that were renamed or left out")
    for skipped in made.skipped[:20]:
        typer.echo(f"left out {skipped.what}: {skipped.reason}", err=True)
    if len(made.skipped) > 20:
        typer.echo(f"left out {len(made.skipped) - 20} more", err=True)
    for note in made.notes:
        typer.echo(f"note: {note}", err=True)
    labels = Counter(c.label if c.label else "several or none" for c in made.clips)
    people = len({c.speaker for c in made.clips if c.speaker})
    typer.echo(f"{out}: {len(made.clips)} clips, {people} speakers, {len(made.skipped)} left out")
    typer.echo("  " + ", ".join(f"{label} {count}" for label, count in labels.most_common()))
    for note in speaker_notes(made.clips):
        typer.echo(f"note: {note}")
    _say_next({"data.manifest": str(out), **train_options(made.clips)})


def _share(run: Path, corpus: str, root: Path, out: Path, options: dict[str, str], device: str) -> None:
    """Prepare a corpus in a temporary folder, and write features of its clips."""
    from tempfile import TemporaryDirectory

    from multiemo.cli.console import ConsoleProgress
    from multiemo.data.prepare import make_folder_of
    from multiemo.data.prepare import prepare as prepare_corpus
    from multiemo.data.splits.suggested import train_options
    from multiemo.privacy.features_only import SEEN, share_features
    from multiemo.runs.folder.required_files import model_folder

    model_folder(run)  # its absence is an error before the corpus is read
    make_folder_of(out)
    with TemporaryDirectory(dir=out.parent) as folder, ConsoleProgress() as progress:
        place = Path(folder)
        made = prepare_corpus(corpus, root, place / "manifest.jsonl", options)
        progress.stage("features")
        shared = share_features(made.clips, place, run, out, device=device, progress=progress)
    widths = ", ".join(f"{width} of {m}" for m, width in shared.widths.items())
    people = len({c.speaker for c in shared.clips if c.speaker})
    typer.echo(f"{out}: {len(shared.clips)} clips, {people} people, features: {widths} ({shared.features.name})")
    if shared.left_out:
        typer.echo(f"note: left out {shared.left_out} clips in which the model finds nothing that it reads", err=True)
    if made.skipped:
        typer.echo(f"note: left out {len(made.skipped)} rows; name them with multiemo prepare {corpus}", err=True)
    if shared.seen:
        typer.echo(
            f"note: {shared.seen} clips are of people whom the model was trained on ({SEEN}: yes), so their features "
            "tell more of their labels than those of others: do not test on them",
            err=True,
        )
    typer.echo(
        "note: features are pseudonymous, not anonymous; multiemo privacy-report measures the difference", err=True
    )
    encoders = ", ".join(f"{m}: {{name: features}}" for m in shared.widths)
    _say_next({"data.manifest": str(out), **train_options(shared.clips), "encoders": f"{{{encoders}}}"})


def _say_next(keys: dict[str, str]) -> None:
    """Print the command that trains with some keys of a config."""
    settings = " ".join(shlex.quote(f"{key}={value}") for key, value in keys.items())
    typer.echo(f"next:  multiemo train CONFIG {settings} --out RUN")


def merge(
    manifests: Annotated[list[Path], typer.Argument(help="Manifests, .jsonl or .parquet.")],
    out: Annotated[Path, typer.Option(help="Manifest to write.")],
) -> None:
    """Join several manifests into one, for training or evaluation across corpora."""
    from multiemo.data.manifest.merge import merge as merge_manifests

    merged = merge_manifests(manifests, out)
    typer.echo(f"{out}: {len(merged.clips)} clips of {len(manifests)} manifests")
    for corpus in dict.fromkeys(clip.corpus for clip in merged.clips):
        clips = [clip for clip in merged.clips if clip.corpus == corpus]
        sets = " and ".join(dict.fromkeys(clip.label_set or "none" for clip in clips))
        people = len({clip.speaker for clip in clips if clip.speaker})
        typer.echo(f"  {corpus}: {len(clips)} clips, {people} speakers, label sets {sets}")
    if merged.shared is not None:
        typer.echo(f"  ids are corpus:id, since {merged.shared!r} occurs in two corpora")


def validate(
    manifest: Annotated[Path, typer.Argument(help="Manifest, .jsonl or .parquet.")],
    media: Annotated[bool, typer.Option("--media", help="Also open every file.")] = False,
) -> None:
    """Check a manifest and name every invalid row."""
    from multiemo.cli.console import ConsoleProgress
    from multiemo.data.manifest.checks import check_media, check_rows

    problems = check_rows(manifest)
    if media:
        with ConsoleProgress() as progress:
            progress.stage("open media")
            problems = sorted([*problems, *check_media(manifest, progress=progress)], key=lambda p: p.row)
    for problem in problems:
        typer.echo(str(problem))
    if problems:
        typer.echo(f"error: {manifest}: {len(problems)} invalid rows", err=True)
        raise typer.Exit(1)
    typer.echo(f"{manifest}: all rows are valid" + (", all media can be read" if media else ""))


def info(folder: CacheOption = None, json_file: JsonOption = None) -> None:
    """Show the content of the cache: entries by kind, bytes, limit, last uses."""
    from multiemo.data.cache.maintenance import format_info, inspect
    from multiemo.data.cache.settings import default_cache, default_limit

    found = inspect(folder or default_cache(), default_limit())
    if json_file != "-":
        typer.echo("\n".join(format_info(found)))
    write_json(found, json_file)


def prune(
    folder: CacheOption = None,
    max_gb: Annotated[
        float | None, typer.Option(min=0, help="Delete the least recently used entries until the cache fits.")
    ] = None,
    older_than: Annotated[
        float | None, typer.Option(min=0, help="Delete entries that were not used for this many days.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Delete all entries; this also removes a damaged cache.")
    ] = False,
    json_file: JsonOption = None,
) -> None:
    """Delete entries and free their disk space; entries that are needed again are computed again."""
    from multiemo.data.cache.maintenance import format_pruned
    from multiemo.data.cache.maintenance import prune as prune_cache
    from multiemo.data.cache.settings import default_cache

    if max_gb is None and older_than is None and not everything:
        raise ConfigError("cache prune: name the entries to delete: --max-gb GB, --older-than DAYS or --all")
    if everything and (max_gb is not None or older_than is not None):
        raise ConfigError("cache prune: --all deletes every entry; leave out --max-gb and --older-than, or --all")
    done = prune_cache(
        folder or default_cache(),
        max_bytes=None if max_gb is None else int(max_gb * 1e9),
        older_than=None if older_than is None else older_than * 86400,
        everything=everything,
    )
    if json_file != "-":
        typer.echo(format_pruned(done))
    write_json(done, json_file)
