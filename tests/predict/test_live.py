"""The microphone and the camera of ``live``, on a machine that is too slow; the devices are simulated."""

from __future__ import annotations

import sys
import threading
import time
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from multiemo.predict import live
from multiemo.predict.live import Devices

RATE = 16000
BLOCK = round(live.CHUNK * RATE)
FINE, OVERFLOW = SimpleNamespace(input_overflow=False), SimpleNamespace(input_overflow=True)


class Microphone:
    """Calls back from a thread as PortAudio does, much faster than a real one; closing it waits for the callback."""

    def __init__(self, *, callback, **_):
        self.callback, self.hung = callback, False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def send(self, status=FINE):
        self.callback(np.ones((BLOCK, 1), np.float32), BLOCK, None, status)

    def start(self):
        self._thread.start()

    def close(self):
        self._closed.set()
        self._thread.join(5)
        self.hung = self._thread.is_alive()

    def _run(self):
        while not self._closed.wait(0.001):
            self.send()


@pytest.fixture
def devices(monkeypatch):
    """Devices whose queue holds three pieces, with a microphone."""
    simulated = ModuleType("sounddevice")
    simulated.InputStream, simulated.PortAudioError = Microphone, OSError
    monkeypatch.setitem(sys.modules, "sounddevice", simulated)
    monkeypatch.setattr(live, "_QUEUE_SIZE", 3)
    return Devices(None, "", RATE)


def test_a_full_queue_does_not_keep_the_microphone_from_closing(devices):
    with devices:
        while not devices._pieces.full():
            time.sleep(0.01)
        time.sleep(0.05)  # the callback waits for room
        devices._stop.set()
    assert not devices._microphone.hung


def test_a_full_queue_does_not_keep_a_camera_that_stopped_from_closing(devices):
    for _ in range(3):
        devices._microphone.send()
    film = threading.Thread(
        target=devices._read_camera, args=(SimpleNamespace(read=lambda: (False, None)),), daemon=True
    )
    film.start()
    time.sleep(0.05)
    devices._stop.set()
    film.join(5)
    assert not film.is_alive()


def test_lost_sound_is_silence_so_that_sound_and_pictures_keep_the_same_clock(devices, monkeypatch):
    clock = SimpleNamespace(now=50.0)
    monkeypatch.setattr(live, "time", SimpleNamespace(monotonic=lambda: clock.now))
    devices._microphone.send()
    clock.now += live.CHUNK + 2.5
    devices._microphone.send(OVERFLOW)
    pieces = [devices._pieces.get_nowait().samples for _ in range(3)]
    assert [len(piece) for piece in pieces] == [BLOCK, round(2.5 * RATE), BLOCK]
    assert [float(piece.max()) for piece in pieces] == [1, 0, 1]
    assert devices.lost == pytest.approx(2.5)


def test_an_overflow_without_a_gap_adds_nothing(devices, monkeypatch):
    monkeypatch.setattr(live, "time", SimpleNamespace(monotonic=lambda: 50.0))
    devices._microphone.send()
    devices._microphone.send(OVERFLOW)
    assert devices._pieces.qsize() == 2
    assert devices.lost == 0
