"""Fuzz every kind of input: ``python -m tests.fuzz --inputs 10000``.

Each kind is read in a process of its own, so that a crash in native code or a hang is found, counted, and does not end
the others. A table is printed, then one line of JSON. Inputs with a defect are kept in ``--folder``.

With ``--guided SECONDS`` the same inputs are chosen by coverage: atheris (``pip install atheris``) instruments the
package and drives the same Hypothesis strategies.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.fuzz.run import LIMIT, Session, Tally, property_of

#: Kinds, and their share of the inputs.
SHARES = {
    "manifest-jsonl": 3,
    "manifest-parquet": 1,
    "table": 2,
    "config": 3,
    "overrides": 1,
    "media": 5,
    "transcript": 3,
    "text": 1,
    "model": 2,
    "pickle": 2,
    "features": 1,
    "predictions": 1,
    "anonymize": 1,
    "lexicon": 1,
    "run": 1,
}
#: A kind whose process dies so often is given up.
_MAX_DEATHS = 10
_COLUMNS = ("inputs", "results", "refused", "defects", "slowest s", "left open")


def main() -> int:
    """Fuzz, print, and return 1 if there was a defect."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000, help="number of inputs over all kinds")
    parser.add_argument("--kinds", nargs="+", choices=SHARES, default=list(SHARES), metavar="KIND", help="some kinds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="an empty folder for inputs with defects; default: temporary")
    parser.add_argument("--guided", type=int, metavar="SECONDS", help="coverage-guided, so many seconds for each kind")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        return _worker(given.kinds[0], given.inputs, given.seed, given.folder, given.guided)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="fuzz-"))
    total = sum(SHARES[name] for name in given.kinds)
    tallies = {}
    for name in given.kinds:
        count = round(given.inputs * SHARES[name] / total)
        tallies[name] = _in_processes(name, count, given.seed, folder / name, given.guided)
        print(f"{name}: {tallies[name]}", file=sys.stderr, flush=True)
    _print_table(tallies)
    print(json.dumps({"seed": given.seed, "kinds": {name: tally.as_json() for name, tally in tallies.items()}}))
    return int(any(tally.defects or tally.files > 5 for tally in tallies.values()))


def _in_processes(name: str, count: int, seed: int, folder: Path, guided: int | None) -> Tally:
    """Read inputs in another process; if it dies, go on with the next seed in a new one."""
    found, died = Tally(), 0
    while (found.inputs < count or guided) and died < _MAX_DEATHS:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tmp").mkdir(exist_ok=True)
        command = [sys.executable, "-m", "tests.fuzz", "--one", "--kinds", name, "--inputs", str(count - found.inputs)]
        command += ["--seed", str(seed), "--folder", str(folder), *(["--guided", str(guided)] if guided else [])]
        environment = {**os.environ, "TMPDIR": str(folder / "tmp"), "OMP_NUM_THREADS": "1", "MULTIEMO_OFFLINE": "1"}
        with (folder / "log.txt").open("ab") as log:
            code = subprocess.run(command, stdout=log, stderr=log, env=environment).returncode
        latest = json.loads((folder / "tally.json").read_text("utf-8")) if (folder / "tally.json").exists() else {}
        (folder / "tally.json").unlink(missing_ok=True)
        _add(found, latest)
        if code in (0, 77):
            break
        found.inputs, died = found.inputs + 1, died + 1
        found.defects[
            f"the process ended with {code}: a crash, or a hang of over {LIMIT:g} s; see {folder}/log.txt"
        ] += 1
        seed += 1000
    return found


def _add(found: Tally, latest: dict[str, Any]) -> None:
    for key in ("inputs", "results"):
        setattr(found, key, getattr(found, key) + latest.get(key, 0))
    found.refused.update(latest.get("refused", {}))
    found.defects.update(latest.get("defects", {}))
    found.slowest = max(found.slowest, latest.get("slowest", 0.0))
    found.files = max(found.files, latest.get("files", 0))


def _worker(name: str, count: int, seed: int, folder: Path, guided: int | None) -> int:
    import faulthandler

    from tests.fuzz import guided as coverage

    if guided:
        coverage.instrument()  # before the package is imported
    from tests.fuzz.kinds import make_kind

    session = Session(make_kind(name, folder / "whole"), folder, Path(tempfile.gettempdir()))
    property_of(session, 3, seed)()  # everything is imported now, which is not counted
    session.tally = Tally()
    take = session.take

    def watched(file: str, content: bytes) -> str | None:
        faulthandler.dump_traceback_later(2 * LIMIT, exit=True)
        wrong = take(file, content)
        faulthandler.cancel_dump_traceback_later()
        if session.tally.inputs % 20 == 0:
            _save(session.tally, folder)
        return wrong

    session.take = watched  # type: ignore[method-assign]
    faulthandler.enable()
    test = property_of(session, count, seed)
    if guided:
        coverage.run(test, seconds=guided, seed=seed, folder=folder, done=lambda: _save(session.tally, folder))
    test()
    _save(session.tally, folder)
    return 0


def _save(tally: Tally, folder: Path) -> None:
    draft = folder / "tally.json.draft"
    draft.write_text(json.dumps(tally.as_json()), "utf-8")
    draft.replace(folder / "tally.json")


def _print_table(tallies: dict[str, Tally]) -> None:
    print("| kind | " + " | ".join(_COLUMNS) + " | refusals |")
    print("|---" * (len(_COLUMNS) + 2) + "|")
    for name, t in tallies.items():
        refusals = ", ".join(f"{error} {n}" for error, n in t.refused.most_common())
        cells = (t.inputs, t.results, t.refused.total(), t.defects.total(), f"{t.slowest:.2f}", t.files, refusals)
        print(f"| {name} | " + " | ".join(map(str, cells)) + " |")
    inputs, defects = sum(t.inputs for t in tallies.values()), sum(t.defects.total() for t in tallies.values())
    print(f"\n{inputs} inputs, {defects} with a defect")
    for name, t in tallies.items():
        for wrong, times in t.defects.most_common():
            print(f"{name}: {times} x {wrong}")


if __name__ == "__main__":
    sys.exit(main())
