"""Sound and pictures from a microphone and a camera, or from a file that is replayed in real time."""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from multiemo.errors import ConfigError, MediaError
from multiemo.extras import require
from multiemo.media.prefetch import prefetched
from multiemo.media.reading import Playback, PlayedFrame, PlayedSound
from multiemo.predict.prediction import TimelineSegment
from multiemo.predict.segmentation.stream import TRACK_FPS
from multiemo.predict.streaming import Stream
from multiemo.preprocess.faces.frames import ArrayFrame

#: Seconds of sound in a piece.
CHUNK = 0.1
#: Capacity of the queue, pieces. When the machine is too slow, pictures are dropped. Sound waits; the system drops it
#: when its own buffer is full too, and it is replaced with silence.
_QUEUE_SIZE = 200
#: Seconds without data after which the devices count as failed.
_TIMEOUT = 10.0


def listen(stream: Stream, pieces: Iterator[PlayedSound | PlayedFrame]) -> Generator[TimelineSegment, None, None]:
    """Push pieces into a stream and yield its segments as they are settled; then close it and yield the last ones."""
    for piece in pieces:
        if isinstance(piece, PlayedSound):
            yield from stream.push(audio=piece.samples)
        else:
            yield from stream.push(frame=piece.frame, time=piece.time)
    yield from stream.close()


def replay(
    path: str | Path, *, rate: int, audio: bool = True, video: bool = True, track: int | None = None
) -> Playback:
    """Open a file for replaying it in real time, with its sound, its pictures or both.

    Args:
        path: media file.
        rate: sample rate of the sound, Hz.
        audio, video: which of the two to read.
        track: the audio track to read, from 1.

    Raises:
        MediaError: the file cannot be read, or has neither the sound nor the pictures that should be read.
    """
    playback = Playback(path, rate=rate if audio else None, fps=TRACK_FPS if video else None, track=track)
    if not (playback.has_audio or playback.has_video):
        playback.close()
        reasons = " and ".join(playback.absent.values()) or "sound and pictures are both switched off"
        raise MediaError(f"{path}: {reasons}; there is nothing to replay")
    return playback


def in_real_time(playback: Playback, rate: int) -> Iterator[PlayedSound | PlayedFrame]:
    """The pieces of a file, each no earlier than its time in the file."""
    began, samples = time.monotonic(), 0
    for piece in prefetched(playback.pieces(), playback.pixels):
        if isinstance(piece, PlayedSound):
            samples += len(piece.samples)
        due = samples / rate if isinstance(piece, PlayedSound) else piece.time
        time.sleep(max(0.0, began + due - time.monotonic()))
        yield piece


class Devices:
    """Reads a camera and a microphone.

    Iterate over it inside a ``with`` block, whose end switches the devices off. Ctrl-C ends the iteration.

    Args:
        camera: number of the camera for OpenCV, or ``None`` for no camera.
        microphone: number or name of the microphone for sounddevice, ``""`` for the default one, ``None`` for none.
        rate: sample rate of the sound, Hz.

    Raises:
        ConfigError: there is neither a camera nor a microphone, or the ``sounddevice`` package is missing.
        MediaError: a device cannot be opened.
    """

    def __init__(self, camera: int | None, microphone: str | None, rate: int) -> None:
        if camera is None and microphone is None:
            raise ConfigError("live: the camera and the microphone are both switched off; switch one of them on")
        self._pieces: queue.Queue[PlayedSound | PlayedFrame | MediaError] = queue.Queue(_QUEUE_SIZE)
        self._stop = threading.Event()
        self._began = time.monotonic()
        self._camera = None if camera is None else _open_camera(camera)
        try:
            self._microphone = None if microphone is None else self._open_microphone(microphone, rate)
        except Exception:
            if self._camera is not None:
                self._camera.release()
            raise
        self._film = threading.Thread(target=self._read_camera, args=(self._camera,), name="camera", daemon=True)
        #: Pictures that were dropped because the machine was too slow.
        self.dropped = 0
        #: Seconds of sound that were lost because the machine was too slow, and are silence in the stream.
        self.lost = 0.0

    def __enter__(self) -> Devices:
        self._began = time.monotonic()
        self._interrupt = signal.signal(signal.SIGINT, lambda *_: self._stop.set())
        if self._microphone is not None:
            self._microphone.start()
        if self._camera is not None:
            self._film.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        signal.signal(signal.SIGINT, self._interrupt)
        if self._microphone is not None:
            self._microphone.close()
        if self._camera is not None:
            self._film.join()
            self._camera.release()

    def __iter__(self) -> Iterator[PlayedSound | PlayedFrame]:
        last = time.monotonic()
        while not self._stop.is_set():
            try:
                piece = self._pieces.get(timeout=CHUNK)
            except queue.Empty:
                if time.monotonic() - last > _TIMEOUT:
                    raise MediaError(
                        f"camera and microphone sent no data for {_TIMEOUT:.0f} s; check that they are connected"
                    ) from None
                continue
            last = time.monotonic()
            if isinstance(piece, MediaError):
                raise piece
            yield piece

    def _put(self, piece: PlayedSound | PlayedFrame | MediaError) -> None:
        """Put a piece into the queue once there is room; when the devices are switched off, it is dropped."""
        while not self._stop.is_set():
            try:
                self._pieces.put(piece, timeout=CHUNK)
            except queue.Full:
                continue
            return

    def _read_camera(self, camera: Any) -> None:
        """Put pictures into the queue until the devices are switched off; runs in its own thread."""
        due = 0.0
        while not self._stop.is_set():
            good, picture = camera.read()
            now = time.monotonic() - self._began
            if not good:
                self._put(MediaError("the camera stopped; check that it is connected and not in use"))
                return
            if now < due:
                continue
            due = now + 0.9 / TRACK_FPS
            try:
                frame = ArrayFrame(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8))
                self._pieces.put_nowait(PlayedFrame(now, frame))
            except queue.Full:
                self.dropped += 1

    def _open_microphone(self, name: str, rate: int) -> Any:
        instead = " (on Linux also the system package libportaudio2), or --no-microphone"
        sounddevice = require("sounddevice", "live: the microphone", instead=instead)

        began: float | None = None  # time of the first sample, less the delay that all samples have
        passed = 0  # samples since then

        def receive(samples: Any, frames: int, moment: Any, status: Any) -> None:
            nonlocal began, passed
            now = time.monotonic()  # the clock of the pictures; not all systems tell the time of a sample
            began = now if began is None else began
            if status.input_overflow and (gap := round((now - began) * rate) - passed) > 0:
                self.lost += gap / rate
                self._put(PlayedSound(np.zeros(gap, np.float32)))
                passed += gap
            self._put(PlayedSound(np.array(samples[:, 0], np.float32)))
            passed += frames

        device: int | str | None = int(name) if name.isdigit() else name or None
        try:
            return sounddevice.InputStream(
                samplerate=rate,
                blocksize=round(CHUNK * rate),
                channels=1,
                dtype="float32",
                device=device,
                callback=receive,
            )
        except (sounddevice.PortAudioError, ValueError) as error:
            raise MediaError(
                f"the microphone cannot be opened ({error}); name another with --microphone, or give --no-microphone"
            ) from None


def _open_camera(number: int) -> Any:
    camera = cv2.VideoCapture(number)
    if not camera.isOpened():
        raise MediaError(f"camera {number} cannot be opened; name another with --camera, or give --no-camera")
    return camera
