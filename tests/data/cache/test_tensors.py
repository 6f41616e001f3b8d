"""The cache gives back what it was given, or nothing: damaged, full, shared, killed or old."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import shutil
import signal
import threading
import time
from collections import namedtuple
from pathlib import Path
from typing import Any

import lmdb
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from multiemo.cli import app
from multiemo.data.cache import tensors as cache_module
from multiemo.data.cache.keys import embedding_key, kind_of, span_key
from multiemo.data.cache.maintenance import inspect, prune
from multiemo.data.cache.settings import default_limit
from multiemo.data.cache.tensors import TensorCache
from multiemo.errors import CheckpointError, ConfigError, MediaError
from multiemo.types import Absent

FORK = multiprocessing.get_context("fork")
SPAWN = multiprocessing.get_context("spawn")


def key(i: int, kind: str = "speech") -> bytes:
    return span_key(f"file{i}", None, None, {"kind": kind})


def value(i: int, size: int = 5000) -> Tensor:
    return torch.arange(size, dtype=torch.float32) + i


@pytest.fixture
def cache(tmp_path: Path) -> TensorCache:
    return TensorCache(tmp_path / "cache")


def raw(cache: TensorCache, at: bytes) -> bytes:
    return cache._store.run(lambda transaction, opened: bytes(transaction.get(at, db=opened.entries)))


def write_raw(cache: TensorCache, at: bytes, stored: bytes) -> None:
    cache._store.run(lambda transaction, opened: transaction.put(at, stored, db=opened.entries), write=True)


def test_what_is_put_comes_back_also_from_a_new_object(cache: TensorCache) -> None:
    values: list[Any] = [
        value(1), torch.zeros(0, 3), torch.tensor(2.5), torch.arange(6, dtype=torch.uint8).reshape(2, 3).T,
        torch.ones(3, dtype=torch.bfloat16), torch.tensor([1, 2]), Absent("kein Gesicht 脸"),
    ]  # fmt: skip
    for i, given in enumerate(values):
        cache.put(key(i), given)
    cache.close()
    again = TensorCache(cache.folder)
    for given, got in zip(values, again.get_many([key(i) for i in range(len(values))]), strict=True):
        if isinstance(given, Absent):
            assert got == given
        else:
            assert isinstance(got, Tensor)
            assert got.dtype == given.dtype
            assert torch.equal(got, given)
    assert again.get(key(99)) is None
    assert (again.corrupt, again.evicted, again.note) == (0, 0, None)


def test_many_at_once_are_the_same_as_one_by_one(cache: TensorCache) -> None:
    cache.put_many((key(i), value(i)) for i in range(5))
    cache.put_many([])
    got = cache.get_many([key(3), key(7), key(0)])
    assert got[1] is None
    assert torch.equal(got[0], value(3))  # type: ignore[arg-type]
    assert torch.equal(got[2], cache.get(key(0)))  # type: ignore[arg-type]
    cache.put_many([(key(0), value(1)), (key(0), value(2))])
    assert torch.equal(cache.get(key(0)), value(2))  # type: ignore[arg-type]


@pytest.mark.parametrize("at", [0, 4, 5, 40, -1])
def test_a_flipped_bit_counts_as_missing_and_is_counted(cache: TensorCache, at: int) -> None:
    cache.put(key(0), value(0))
    stored = bytearray(raw(cache, key(0)))
    stored[at] ^= 1
    write_raw(cache, key(0), bytes(stored))
    assert cache.get(key(0)) is None
    assert cache.corrupt == 1
    cache.put(key(0), value(0))
    assert torch.equal(cache.get(key(0)), value(0))  # type: ignore[arg-type]
    assert cache.corrupt == 1


def test_an_entry_under_a_foreign_key_or_cut_short_counts_as_missing(cache: TensorCache) -> None:
    cache.put(key(0), value(0))
    for stored in (raw(cache, key(0)), raw(cache, key(0))[:-8], b"", b"+x"):
        write_raw(cache, key(1), stored)
        assert cache.get(key(1)) is None
    assert cache.corrupt == 4


def test_a_damaged_file_digest_is_made_again(cache: TensorCache, tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    file.write_bytes(b"sound")
    good = cache.content_digest(file)

    def damage(transaction: lmdb.Transaction, opened: Any) -> None:
        with transaction.cursor(db=opened.entries) as cursor:
            cursor.first()
            transaction.put(bytes(cursor.key()), bytes(cursor.value())[:-1] + b"?", db=opened.entries)

    cache._store.run(damage, write=True)
    assert cache.content_digest(file) == good
    assert cache.corrupt == 1


def test_the_digest_of_a_file_follows_its_content(cache: TensorCache, tmp_path: Path) -> None:
    """Size and time are the same throughout: a link is pointed elsewhere, a file is put in place of another."""
    for name, content in (("one", b"sound"), ("two", b"other"), ("three", b"third")):
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, ns=(1, 1))
    link = tmp_path / "link"
    link.symlink_to("one")
    first = cache.content_digest(link)
    assert first == cache.content_digest(tmp_path / "one") == cache.content_digest(link)
    link.unlink()
    link.symlink_to("two")
    second = cache.content_digest(link)
    os.replace(tmp_path / "three", tmp_path / "two")
    assert len({first, second, cache.content_digest(link)}) == 3
    with pytest.raises(MediaError, match="gone: no such file"):
        cache.content_digest(tmp_path / "gone")


def test_entries_of_the_first_format_are_dropped(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    with lmdb.open(str(folder)) as environment, environment.begin(write=True) as transaction:
        for i in range(300):
            transaction.put(key(i)[:20], b"+" + bytes(5000))
            transaction.put(key(i), b"-why")
    cache = TensorCache(folder)
    assert cache.get_many([key(i) for i in range(300)]) == [None] * 300
    cache.put(key(0), value(0))
    cache.close()
    with lmdb.open(str(folder), max_dbs=2) as environment, environment.begin() as transaction:
        assert sorted(bytes(k) for k, _ in transaction.cursor()) == [b"entries", b"uses"]
    assert inspect(folder, 1).entries == {"speech": 1}


def test_a_key_says_what_its_entry_is() -> None:
    for kind in ("speech", "waveform", "face", "features", "text"):
        assert kind_of(key(0, kind)) == kind
        assert kind_of(embedding_key(key(0, kind), "w")) == f"embedding of {kind}"
    assert kind_of(span_key("x", None, None, {"duplicates": "sound"})) == "other"
    assert kind_of(b"") == "other"


def test_the_least_recently_used_go_and_the_limit_holds(tmp_path: Path) -> None:
    cache = TensorCache(tmp_path / "cache", limit=1_000_000)
    (tmp_path / "a.wav").write_bytes(b"sound")
    cache.content_digest(tmp_path / "a.wav")
    for i in range(40):
        cache.put(key(i), value(i))
    cache.touch([key(0), key(1), b"unknown"])
    for i in range(40, 60):
        cache.put(key(i), value(i))
        assert inspect(cache.folder, 0).used <= 1_000_000
    there = [i for i, found in enumerate(cache.get_many([key(i) for i in range(60)])) if found is not None]
    assert {0, 1, 59} <= set(there)
    assert not {2, 3, 4, 5} & set(there)
    assert there[2:] == list(range(there[2], 60))
    assert cache.evicted == 60 - len(there)
    assert inspect(cache.folder, 0).entries == {"file digest": 1, "speech": len(there)}
    assert "raise $MULTIEMO_CACHE_GB" in str(cache.note)
    assert (cache.folder / "data.mdb").stat().st_size < 2_000_000


def test_a_put_keeps_its_own_entries_and_what_exceeds_the_limit_is_not_kept(tmp_path: Path) -> None:
    cache = TensorCache(tmp_path / "cache", limit=400_000)
    cache.put_many((key(i), value(i)) for i in range(17))
    cache.put_many((key(i), value(i)) for i in range(20, 39))
    got = cache.get_many([key(i) for i in range(20, 39)])
    assert all(isinstance(found, Tensor) for found in got)
    assert cache.get_many([key(i) for i in range(17)]) == [None] * 17
    cache.put(key(99), value(0, 200_000))
    assert cache.get(key(99)) is None
    assert "are not stored" in str(cache.note)
    assert cache.get(key(38)) is not None


def test_reading_after_an_hour_is_written_down_and_before_is_not(
    cache: TensorCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = 1_700_000_000.0
    for now, expected in ((start, start), (start + 1800, start), (start + 7200, start + 7200)):
        monkeypatch.setattr(cache_module.time, "time", lambda now=now: now)
        if now == start:
            cache.put(key(0), value(0))
        cache.get(key(0))
        cache.close()
        assert inspect(cache.folder, 0).newest == expected


def test_the_default_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MULTIEMO_CACHE_GB", raising=False)
    assert default_limit() == 50_000_000_000
    monkeypatch.setenv("MULTIEMO_CACHE_GB", "0.5")
    assert TensorCache(Path("unused")).limit == 500_000_000
    for wrong in ("much", "-1", "0", "nan", "inf"):
        monkeypatch.setenv("MULTIEMO_CACHE_GB", wrong)
        with pytest.raises(ConfigError, match="MULTIEMO_CACHE_GB is '"):
            default_limit()


@pytest.mark.fault("disk of the cache nearly full", "a note; nothing more is cached; the work goes on")
def test_a_nearly_full_disk_ends_storing_not_the_work(cache: TensorCache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.put(key(0), value(0))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(10**12, 10**12 - 10**6, 10**6))
    cache.put(key(1), value(1))
    assert "no more entries are cached: the disk has only 1 MB left" in str(cache.note)
    assert cache.get(key(1)) is None
    assert torch.equal(cache.get(key(0)), value(0))  # type: ignore[arg-type]


def _write_under_a_file_limit(folder: Path) -> None:
    cache = TensorCache(folder)
    size = (folder / "data.mdb").stat().st_size
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100_000, size + 100_000))
    for i in range(1, 60):
        cache.put(key(i), value(i))
    assert "no more entries are cached" in str(cache.note), cache.note
    assert torch.equal(cache.get(key(0)), value(0))  # type: ignore[arg-type]
    cache.close()


@pytest.mark.fault("disk of the cache full", "a note; what is cached stays readable; the work goes on")
def test_a_write_that_fails_ends_storing_not_the_work(cache: TensorCache) -> None:
    cache.put(key(0), value(0))
    cache.close()
    assert exit_code(FORK, _write_under_a_file_limit, cache.folder) == 0
    assert torch.equal(cache.get(key(0)), value(0))  # type: ignore[arg-type]
    cache.put(key(70), value(70))
    assert cache.get(key(70)) is not None


def _damage(file: Path, how: str) -> None:
    content = file.read_bytes()
    file.write_bytes(
        {
            "garbage": os.urandom(len(content)),
            "text": b"not a cache\n",
            "header": bytes(4096) + content[4096:],
            "magic": content[:16] + b"\0\0\0\0" + content[20:],
            "half": content[: len(content) // 2],
            "one page": content[:4096],
        }[how]
    )


@pytest.mark.fault("corrupted cache file", "one line names it; `multiemo cache prune` repairs it")
@pytest.mark.parametrize("how", ["garbage", "text", "header", "magic", "half", "one page"])
def test_a_damaged_file_is_one_clear_error_and_pruned_away(cache: TensorCache, how: str) -> None:
    cache.put_many((key(i), value(i)) for i in range(60))
    cache.close()
    _damage(cache.folder / "data.mdb", how)
    for use in (lambda: cache.get(key(0)), lambda: cache.put(key(0), value(0)), lambda: inspect(cache.folder, 1)):
        with pytest.raises(CheckpointError, match=r"data\.mdb: the cache is damaged .*`multiemo cache prune --all`"):
            use()
    with pytest.raises(CheckpointError, match="is damaged"):
        prune(cache.folder, max_bytes=0)
    assert prune(cache.folder, everything=True).compacted
    cache.put(key(0), value(0))
    assert torch.equal(cache.get(key(0)), value(0))  # type: ignore[arg-type]


def _read_all(folder: Path, number: int) -> None:
    cache = TensorCache(folder)
    got = cache.get_many([key(i) for i in range(number)])
    lost = sum(found is None for found in got)
    assert all(found is None or torch.equal(found, value(i)) for i, found in enumerate(got))  # type: ignore[arg-type]
    assert 0 < lost == cache.corrupt, (lost, cache.corrupt)


def test_the_last_pages_cut_off_cost_entries_not_the_process(cache: TensorCache) -> None:
    for i in range(60):
        cache.put(key(i), value(i))
    cache.close()
    file = cache.folder / "data.mdb"
    os.truncate(file, file.stat().st_size - 40_000)
    assert exit_code(FORK, _read_all, cache.folder, 60) in (0, 3)  # 3: the tree itself was cut, and that was said


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match=r"file/cache: the cache cannot be opened .*data\.cache"):
        TensorCache(tmp_path / "file" / "cache").get(key(0))


def _guarded(target: Any, *arguments: Any) -> None:
    try:
        target(*arguments)
    except CheckpointError:
        os._exit(3)


def exit_code(context: Any, target: Any, *arguments: Any) -> int | None:
    process = context.Process(target=_guarded, args=(target, *arguments))
    process.start()
    process.join(60)
    return process.exitcode  # type: ignore[no-any-return]


def _write_some(folder: Path, first: int, number: int) -> None:
    cache = TensorCache(folder, map_size=1 << 18)
    for i in range(first, first + number):
        cache.put(key(i), value(i, 3000))
    assert cache.note is None
    cache.close()


def _read_until_there(folder: Path, number: int) -> None:
    cache, end = TensorCache(folder, map_size=1 << 18), time.monotonic() + 50
    left = set(range(number))
    while left and time.monotonic() < end:
        order = sorted(left)
        for i, found in zip(order, cache.get_many([key(i) for i in order]), strict=True):
            if found is not None:
                assert torch.equal(found, value(i, 3000))  # type: ignore[arg-type]
                left.discard(i)
        time.sleep(0.02)
    assert not left
    assert cache.corrupt == 0


@pytest.mark.slow
def test_many_processes_write_and_read_at_once(cache: TensorCache) -> None:
    """The map starts at 256 KiB, so it grows under everybody; one process is spawned, the others are forks."""
    cache.put(key(0), value(0, 3000))  # open here when the forks are made
    processes = [FORK.Process(target=_write_some, args=(cache.folder, 60 * w, 60)) for w in range(3)]
    processes += [SPAWN.Process(target=_write_some, args=(cache.folder, 180, 60))]
    processes += [FORK.Process(target=_read_until_there, args=(cache.folder, 240)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * len(processes)
    got = cache.get_many([key(i) for i in range(240)])
    assert all(torch.equal(found, value(i, 3000)) for i, found in enumerate(got))  # type: ignore[arg-type]


def test_threads_share_a_cache_that_grows(tmp_path: Path) -> None:
    cache = TensorCache(tmp_path / "cache", map_size=1 << 17)
    wrong: list[int] = []

    def work(first: int) -> None:
        for i in range(first, first + 40):
            cache.put(key(i), value(i))
            if not torch.equal(cache.get(key(i)), value(i)):  # type: ignore[arg-type]
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(40 * t,)) for t in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert None not in cache.get_many([key(i) for i in range(160)])


def _write_for_ever(folder: Path) -> None:
    cache, i = TensorCache(folder), 0
    while True:
        cache.put_many((key(j), value(j)) for j in range(i, i + 5))
        i += 5


@pytest.mark.fault("kill -9 while the cache is written", "whole entries remain; nothing is locked")
def test_a_killed_writer_leaves_whole_transactions(cache: TensorCache) -> None:
    for round_ in range(4):
        cache.close()
        process = FORK.Process(target=_write_for_ever, args=(cache.folder,))
        process.start()
        while cache.get(key(5 * round_)) is None:
            time.sleep(0.01)
        time.sleep(0.01 * round_)
        os.kill(process.pid, signal.SIGKILL)  # type: ignore[arg-type]
        process.join()
        got = cache.get_many([key(i) for i in range(2000)])
        there = [i for i, found in enumerate(got) if found is not None]
        assert there == list(range(len(there)))
        assert len(there) % 5 == 0
        assert all(torch.equal(got[i], value(i)) for i in there)  # type: ignore[arg-type]
        cache.put(b"after" + bytes([round_]), value(round_))
    assert cache.corrupt == 0
    assert cache.note is None


def _hold_open(folder: Path, ready: Any, done: Any) -> None:
    cache = TensorCache(folder)
    cache.get(key(0))
    ready.set()
    done.wait(60)
    for i in range(10, 20):
        assert torch.equal(cache.get(key(i)), value(i))  # type: ignore[arg-type]
    cache.put(key(50), value(50))


def test_prune_beside_running_work_deletes_but_does_not_swap_the_file(cache: TensorCache) -> None:
    cache.put_many((key(i), value(i)) for i in range(10))
    time.sleep(0.05)
    cache.put_many((key(i), value(i)) for i in range(10, 20))
    cache.close()
    ready, done = FORK.Event(), FORK.Event()
    process = FORK.Process(target=_hold_open, args=(cache.folder, ready, done))
    process.start()
    assert ready.wait(60)
    pruned = prune(cache.folder, max_bytes=220_000)
    assert pruned.removed == 10
    assert not pruned.compacted
    assert "another process has the cache open" in str(pruned.reason)
    done.set()
    process.join(60)
    assert process.exitcode == 0
    again = prune(cache.folder, max_bytes=300_000)
    assert (again.removed, again.compacted) == (0, True)
    assert again.disk_after < again.disk_before
    assert [cache.get(key(i)) is not None for i in (0, 9, 10, 19, 50)] == [False, False, True, True, True]
    assert sorted(os.listdir(cache.folder)) == ["data.mdb", "lock.mdb", "users.lock"]


def test_the_same_process_goes_on_after_pruning(cache: TensorCache) -> None:
    cache.put_many((key(i), value(i)) for i in range(20))
    other = TensorCache(cache.folder)
    assert other.get(key(3)) is not None
    assert prune(cache.folder, older_than=3600.0).removed == 0
    assert prune(cache.folder, older_than=0.0).removed == 20
    assert other.get(key(3)) is None
    other.put(key(3), value(3))
    assert cache.get(key(3)) is not None


def test_info_and_prune_on_the_command_line(cache: TensorCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["cache", *arguments, "--folder", str(cache.folder)])
        assert result.exit_code == code, result.output
        return result.stdout

    assert json.loads(run("info", "--json", "-"))["entries"] == {}
    assert not cache.folder.exists()
    assert "0 entries removed" in run("prune", "--all")
    cache.put_many((key(i, kind), value(i)) for kind in ("speech", "face") for i in range(5))
    cache.put_many((embedding_key(key(i), "w"), value(i, 8)) for i in range(3))
    cache.close()
    found = json.loads(run("info", "--json", "-"))
    assert found["entries"] == {"embedding of speech": 3, "face": 5, "speech": 5}
    assert found["bytes_by_kind"]["face"] == found["bytes_by_kind"]["speech"] > 5 * 20_000
    assert found["used"] <= found["disk"]
    assert found["oldest"] <= found["newest"] <= time.time()
    assert "5 face" in run("info")
    result = CliRunner().invoke(app, ["cache", "prune"], catch_exceptions=True)
    assert isinstance(result.exception, ConfigError)
    assert json.loads(run("prune", "--max-gb", "0.0001", "--json", "-"))["removed"] >= 6
    assert json.loads(run("prune", "--older-than", "1", "--json", "-"))["removed"] == 0
    assert json.loads(run("prune", "--all", "--json", "-"))["disk_after"] == 0
    assert cache.get(key(4)) is None
