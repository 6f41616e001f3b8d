"""CSVs of features."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import polars as pl
import pytest

from multiemo.data.features.reading import read_features


def _read(path: Path) -> None:
    read_features(path)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no process is forked here")
def test_a_forked_worker_reads_after_its_parent_has_used_polars(tmp_path: Path) -> None:
    """The threads of Polars are not in a forked process, so a worker that used them would wait forever."""
    path = tmp_path / "f.csv"
    path.write_text("frame,AU01_r\n1,0.5\n2,0.25\n")
    pl.read_csv(path).select(pl.all().cast(pl.Float64))
    worker = multiprocessing.get_context("fork").Process(target=_read, args=(path,))
    worker.start()
    worker.join(20)
    hangs = worker.is_alive()
    worker.kill()
    assert not hangs
    assert worker.exitcode == 0


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_numbers_as_programs_write_them(tmp_path: Path, separator: str) -> None:
    cells = ["1e-2", " 0.5", "-3"]
    path = tmp_path / "f.csv"
    path.write_text(separator.join(["AU01_r", " AU02_r", "AU04_r", "success"]) + "\n" + separator.join([*cells, "1"]))
    values, names = read_features(path)
    assert names == ("AU01_r", "AU02_r", "AU04_r")
    assert values.tolist() == [pytest.approx([0.01, 0.5, -3.0])]


def test_decimal_commas_where_commas_do_not_separate(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("AU01_r;AU02_r\n0,5;1\n;-2,25\n")
    with pytest.raises(Exception, match="row 2, column 'AU01_r' is empty or NaN"):
        read_features(path)
    path.write_text("AU01_r;AU02_r\n0,5;1\n1;-2,25\n")
    assert read_features(path)[0].tolist() == [[0.5, 1.0], [1.0, -2.25]]
