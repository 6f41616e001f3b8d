"""How likely each 32 ms of sound holds a voice: the silero-vad network, a whole block of sound at a time.

Silero Team 2024, "Silero VAD: pre-trained enterprise-grade Voice Activity Detector" (MIT). The weights are those of the
``silero-vad`` package's own TorchScript file (its safetensors file holds an older network); the package itself is not
imported: it would set the threads of torch for the whole process. Its own loop runs the network once for every 32 ms.
Here spectra, convolutions and output are one matrix product each for all steps of a block, and only the recurrent layer
goes step by step; the probabilities are the same.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np

from multiemo.arrays import Floats
from multiemo.errors import ConfigError

#: Hz, of the sound that the network reads.
RATE = 16000
#: Samples from one probability to the next.
STEP = 512
#: Samples before a step that the network sees with it.
_CONTEXT = 64
#: Broken samples beyond this are held to it, so that they cannot stay in the memory of the network for good.
_LOUDEST = 10.0
#: Steps in one pass; longer blocks take several, which bounds the memory.
_BLOCK = 128
_FILE = "silero_vad.jit"
#: Spectra of a step (each of 256 samples, overlapping by half), bins of each, and width of the recurrent layer.
_SPECTRA, _BINS, _WIDTH = 4, 129, 128
#: Of the convolutions, which leave 4, 2, 1 and 1 of the spectra.
_STRIDES = (1, 2, 2, 1)


class VoiceActivity:
    """Probabilities of a voice, from sound that comes in blocks of any size.

    The recurrent state, the context and what is left of a step are kept from one block to the next, so that the blocks'
    size changes nothing but the rounding of single precision.

    Raises:
        ConfigError: the network's file is missing.

    Example:
        >>> voice = VoiceActivity()
        >>> len(voice(np.zeros(1000, np.float32))), len(voice(np.zeros(100, np.float32))), len(voice.flush())
        (1, 1, 1)
    """

    def __init__(self) -> None:
        self._network = _load(network_file())
        self._kept: Floats
        self._state: tuple[Floats, Floats]
        self._reset()

    def __call__(self, samples: Floats) -> Floats:
        """The steps that are complete with these samples.

        Args:
            samples: ``[N]`` float32 mono at 16 kHz within -1..1, following those of the call before.

        Returns:
            ``[K]`` float32, 0..1; step ``k`` of all calls together covers samples ``512 k`` to ``512 (k + 1)``.
        """
        heard = np.clip(samples, -_LOUDEST, _LOUDEST)
        heard[np.isnan(heard)] = 0.0
        sound = np.concatenate([self._kept, heard])
        steps = (len(sound) - _CONTEXT) // STEP
        found = np.empty(steps, dtype=np.float32)
        for first in range(0, steps, _BLOCK):
            last = min(first + _BLOCK, steps)
            block = sound[first * STEP : last * STEP + _CONTEXT]
            found[first:last], self._state = self._network.run(block, self._state)
        self._kept = sound[steps * STEP :].copy()
        return found

    def flush(self) -> Floats:
        """The last step, filled up with zeros, if samples are left; what comes after it is another recording.

        Returns:
            ``[0]`` or ``[1]``.
        """
        rest = len(self._kept) - _CONTEXT
        last = self(np.zeros(STEP - rest, dtype=np.float32)) if rest else np.zeros(0, dtype=np.float32)
        self._reset()
        return last

    def _reset(self) -> None:
        self._kept = np.zeros(_CONTEXT, dtype=np.float32)
        self._state = np.zeros(_WIDTH, dtype=np.float32), np.zeros(_WIDTH, dtype=np.float32)


def network_file() -> Path:
    """The networks that the ``silero-vad`` package carries; the package itself is not imported.

    Raises:
        ConfigError: it is not there.
    """
    spec = importlib.util.find_spec("silero_vad")
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        path = Path(folder) / "data" / _FILE
        if path.is_file():
            return path
    raise ConfigError(f"voice activity: {_FILE} is missing; install it with: pip install 'silero-vad>=6'")


class _Network:
    """Magnitude spectra -> four convolutions -> LSTM -> one probability a step.

    Args:
        weights: tensors by their names in the file.
    """

    def __init__(self, weights: Mapping[str, Floats]) -> None:
        self._basis = _split(weights["stft.forward_basis_buffer"][:, 0].T, _SPECTRA)
        names = [f"encoder.{k}.reparam_conv" for k in range(len(_STRIDES))]
        kernels = [weights[f"{n}.weight"].transpose(2, 1, 0) for n in names]
        left = [_SPECTRA // s for s in np.cumprod(_STRIDES).tolist()]
        self._kernels = [_split(k.reshape(-1, k.shape[2]), n) for k, n in zip(kernels, left, strict=True)]
        self._biases = [weights[f"{n}.bias"] for n in names]
        self._input = _split(_gates(weights["decoder.rnn.weight_ih"].T), 1)
        self._recurrent = _split(_gates(weights["decoder.rnn.weight_hh"].T), 1)
        self._gate_bias = _gates(weights["decoder.rnn.bias_ih"] + weights["decoder.rnn.bias_hh"])
        self._output = weights["decoder.decoder.2.weight"][0, :, 0]
        self._output_bias = weights["decoder.decoder.2.bias"][0]

    def run(self, sound: Floats, state: tuple[Floats, Floats]) -> tuple[Floats, tuple[Floats, Floats]]:
        """Probabilities ``[K]`` of ``[64 + 512 K]`` samples, and the state after them."""
        context, steps = sound[:-_CONTEXT].reshape(-1, STEP)[:, :_CONTEXT], sound[_CONTEXT:].reshape(-1, STEP)
        mirrored = np.concatenate([context, steps, steps[:, -2 : -2 - _CONTEXT : -1]], axis=1)
        halves = mirrored.reshape(len(steps), _SPECTRA + 1, -1)
        spectra = _product(np.concatenate([halves[:, :-1], halves[:, 1:]], axis=2), self._basis)
        x = np.sqrt(spectra[..., :_BINS] ** 2 + spectra[..., _BINS:] ** 2)
        for kernel, bias, stride in zip(self._kernels, self._biases, _STRIDES, strict=True):
            count, length, width = x.shape
            padded = np.zeros((count, length + 2, width), dtype=np.float32)
            padded[:, 1:-1] = x
            taps = [padded[:, t : length + t : stride] for t in range(3)]
            x = np.maximum(_product(np.concatenate(taps, axis=2), kernel) + bias, 0.0)
        hidden, state = self._remember(x, state)
        logits = np.maximum(hidden, 0.0) @ self._output + self._output_bias
        return 0.5 + 0.5 * np.tanh(logits / 2), state

    def _remember(self, x: Floats, state: tuple[Floats, Floats]) -> tuple[Floats, tuple[Floats, Floats]]:
        """The LSTM over ``[K, 1, 128]``: what it puts out, ``[K, 128]``, and its state at the end."""
        before = (_product(x, self._input) + self._gate_bias).reshape(len(x), *self._recurrent.shape[::2])
        out = np.empty((len(x), _WIDTH), dtype=np.float32)
        hidden, cell = state
        for k in range(len(x)):
            mixed = hidden @ self._recurrent
            mixed += before[k]
            new, come, stay, show = np.tanh(mixed, out=mixed).reshape(4, _WIDTH)
            cell = (0.5 + 0.5 * stay) * cell + (0.5 + 0.5 * come) * new
            hidden = out[k] = (0.5 + 0.5 * show) * np.tanh(cell)
        return out, (hidden, cell)


def _split(matrix: Floats, rows: int) -> Floats:
    """``[A, B]`` as pieces ``[P, A, B / P]``, so small that BLAS multiplies ``rows`` with one without threads.

    Threads would wait for each other at every step, and with other work on the machine for that, too: OpenBLAS shares a
    product of fewer than 9216 values with a row, and of 2 ** 18 with more, among none.
    """
    width = matrix.shape[1]
    fits = (p for p in range(1, width + 1) if width % p == 0 and _alone(rows, matrix.size // p))
    return np.ascontiguousarray(matrix.reshape(len(matrix), next(fits), -1).swapaxes(0, 1))


def _alone(rows: int, values: int) -> bool:
    return values < 9216 if rows == 1 else rows * values <= 2**18


def _product(rows: Floats, pieces: Floats) -> Floats:
    """``[K, T, A]`` times what :func:`_split` made of ``[A, B]``: ``[K, T, B]``."""
    found: Floats = (rows[:, None] @ pieces).swapaxes(1, 2).reshape(*rows.shape[:2], -1)
    return found


def _gates(weights: Floats) -> Floats:
    """The gates of ``[..., 4 * 128]`` in the order new, in, forget, out, so that one tanh serves all.

    The last three are sigmoids: (1 + tanh(x / 2)) / 2.
    """
    come, stay, new, show = np.split(weights, 4, axis=-1)
    return np.concatenate([new, come / 2, stay / 2, show / 2], axis=-1)


@cache
def _load(path: Path) -> _Network:
    """The 16 kHz network, read once a process."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, but is what the package comes as
        tensors = torch.jit.load(str(path), map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
    return _Network({k.removeprefix("_model."): v.numpy() for k, v in tensors.items() if k.startswith("_model.")})
