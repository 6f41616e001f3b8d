"""The supervisor of worker processes: order, failures, deaths, and that nothing is left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from multiemo.errors import ConfigError
from multiemo.processes import ProcessDiedError, Slot, TaskFailedError, supervise


def write(folder: Path, slot: str) -> Callable[[int], None]:
    """Each task leaves a file that says in which slot and process it was done."""

    def do(task: int) -> None:
        (folder / str(task)).write_text(f"{slot} {os.getpid()}")

    return do


def die_once(folder: Path, slot: str) -> Callable[[int], None]:
    """Each task kills its process when it is tried for the first time."""

    def do(task: int) -> None:
        tried = folder / f"tried-{task}"
        if not tried.exists():
            tried.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        (folder / str(task)).write_text(slot)

    return do


def refuse(slot: str) -> Callable[[int], None]:
    if slot == "bad":
        raise ConfigError("no such slot")

    def do(task: int) -> None:
        raise (ConfigError("no such thing") if task == 1 else KeyError("a defect"))

    return do


def die_in_setup(slot: str) -> Callable[[int], None]:
    os._exit(3)


def wait_long(folder: Path, slot: str) -> Callable[[int], None]:
    (folder / "pid").write_text(str(os.getpid()))
    return lambda task: time.sleep(60 * task)


def state(slot: Slot) -> Callable[[Path], None]:
    slot.occupy()

    def do(path: Path) -> None:
        import torch

        said = f"{os.environ['CUDA_VISIBLE_DEVICES']} {torch.get_num_threads()} {multiprocessing.get_start_method()}"
        path.write_text(said)

    return do


def test_every_task_is_done_once_and_processes_are_used_again(tmp_path):
    done = [finished.task for finished in supervise(partial(write, tmp_path), ["a", "b"], range(5))]
    assert sorted(done) == list(range(5))
    said = [(tmp_path / str(task)).read_text().split() for task in done]
    assert {slot for slot, _ in said} == {"a", "b"}
    assert len({pid for _, pid in said}) == 2
    assert not multiprocessing.active_children()


def test_a_process_a_task(tmp_path):
    finished = list(supervise(partial(write, tmp_path), ["a"], range(2), reuse=False))
    assert [one.task for one in finished] == [0, 1]
    assert all(one.seconds > 0 for one in finished)
    assert len({(tmp_path / str(task)).read_text() for task in range(2)}) == 2


@pytest.mark.fault("worker of a data loader killed", "another process does its task")
def test_a_task_whose_process_died_is_done_by_another(tmp_path):
    done = [finished.task for finished in supervise(partial(die_once, tmp_path), ["a"], [7, 8], restart=True)]
    assert sorted(done) == [7, 8]
    assert (tmp_path / "7").exists()
    assert (tmp_path / "8").exists()


def test_without_restarts_a_death_names_the_task_and_the_code(tmp_path):
    with pytest.raises(ProcessDiedError, match="ended with code -9") as caught:
        list(supervise(partial(die_once, tmp_path), ["a"], [7]))
    assert (caught.value.task, caught.value.code) == (7, -9)


def test_processes_that_die_in_setup_are_given_up():
    with pytest.raises(ProcessDiedError, match="ended with code 3"):
        list(supervise(die_in_setup, ["a"], [1], restart=True))


@pytest.mark.parametrize(
    ("slot", "task", "said"),
    [("bad", 1, "^no such slot$"), ("good", 1, "^no such thing$"),
     ("good", 2, "^a worker failed: KeyError: 'a defect'$")],
)  # fmt: skip
def test_an_error_names_its_task(slot, task, said, capfd):
    with pytest.raises(TaskFailedError, match=said) as caught:
        list(supervise(refuse, [slot], [task]))
    assert caught.value.task == task
    assert not multiprocessing.active_children()


def test_who_stops_listening_ends_the_processes(tmp_path):
    tasks = supervise(partial(wait_long, tmp_path), ["a"], [0, 1])
    assert next(tasks).task == 0
    tasks.close()
    assert not multiprocessing.active_children()


def test_a_slot_limits_its_process(tmp_path):
    list(supervise(state, [Slot(1, "5")], [tmp_path / "said"]))
    assert (tmp_path / "said").read_text() == f"5 1 {multiprocessing.get_start_method()}"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_orphan_ends(tmp_path):
    script = (
        "import sys; from functools import partial; from pathlib import Path\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_processes import supervise, wait_long\n"
        f"if __name__ == '__main__': list(supervise(partial(wait_long, Path({str(tmp_path)!r})), ['a'], [1]))\n"
    )
    (tmp_path / "main.py").write_text(script)
    parent = subprocess.Popen([sys.executable, str(tmp_path / "main.py")])
    noted = tmp_path / "pid"
    try:
        until = time.monotonic() + 60
        while not (noted.exists() and noted.read_text()) and time.monotonic() < until:
            time.sleep(0.02)
        child = int(noted.read_text())
    finally:
        parent.kill()
        parent.wait()
    until = time.monotonic() + 20
    while time.monotonic() < until and Path(f"/proc/{child}").exists():
        time.sleep(0.02)
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
