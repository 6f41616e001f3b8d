"""Voice activity detection: the probability of speech in each 32 ms of audio, by the silero-vad network.

Silero Team 2024, "Silero VAD: pre-trained enterprise-grade Voice Activity Detector" (MIT). The weights come from the
TorchScript file of the ``silero-vad`` package (its safetensors file has an older network). The package itself is not
imported, because it would set torch's number of threads for the whole process. Its own loop runs the network once per
32 ms. Here spectra, convolutions and output are one matrix product each for all steps of a block, and only the
recurrent layer runs step by step. The probabilities are the same.
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

#: Sample rate of the network's input, Hz.
RATE = 16000
#: Number of samples per probability.
STEP = 512
#: Number of samples before a step that the network reads with it.
_CONTEXT = 64
#: Samples are clipped to this amplitude, since broken ones could stay in the recurrent state for good.
_MAX_AMPLITUDE = 10.0
#: Maximum number of steps per pass, which bounds the memory.
_BLOCK = 128
_FILE = "silero_vad.jit"
#: Number of spectra per step (of 256 samples each, overlapping by half), bins per spectrum, and width of the LSTM.
_SPECTRA, _BINS, _WIDTH = 4, 129, 128
#: Strides of the convolutions, which reduce the number of spectra to 4, 2, 1 and 1.
_STRIDES = (1, 2, 2, 1)


class VoiceActivity:
    """Computes probabilities of speech from audio in blocks of any size.

    The recurrent state, the context and the samples of an incomplete step are kept between blocks. The size of the
    blocks therefore affects only the rounding of single precision.

    Raises:
        ConfigError: the network's file is missing.

    Example:
        >>> voice = VoiceActivity()
        >>> len(voice(np.zeros(1000, np.float32))), len(voice(np.zeros(100, np.float32))), len(voice.flush())
        (1, 1, 1)
    """

    def __init__(self) -> None:
        self._network = _load(network_file())
        self._tail: Floats
        self._state: tuple[Floats, Floats]
        self._reset()

    def __call__(self, samples: Floats) -> Floats:
        """Process samples and return the probabilities of the steps that they complete.

        Args:
            samples: ``[N]`` float32 mono at 16 kHz within -1..1, following those of the previous call.

        Returns:
            ``[K]`` float32, 0..1. Counted over all calls, step ``k`` covers samples ``512 k`` to ``512 (k + 1)``.
        """
        clean = np.clip(samples, -_MAX_AMPLITUDE, _MAX_AMPLITUDE)
        clean[np.isnan(clean)] = 0.0
        sound = np.concatenate([self._tail, clean])
        steps = (len(sound) - _CONTEXT) // STEP
        found = np.empty(steps, dtype=np.float32)
        for first in range(0, steps, _BLOCK):
            last = min(first + _BLOCK, steps)
            block = sound[first * STEP : last * STEP + _CONTEXT]
            found[first:last], self._state = self._network.run(block, self._state)
        self._tail = sound[steps * STEP :].copy()
        return found

    def flush(self) -> Floats:
        """End the recording: process an incomplete step, padded with zeros, and reset the state.

        Returns:
            ``[0]`` or ``[1]`` float32, 0..1.
        """
        rest = len(self._tail) - _CONTEXT
        last = self(np.zeros(STEP - rest, dtype=np.float32)) if rest else np.zeros(0, dtype=np.float32)
        self._reset()
        return last

    def _reset(self) -> None:
        self._tail = np.zeros(_CONTEXT, dtype=np.float32)
        self._state = np.zeros(_WIDTH, dtype=np.float32), np.zeros(_WIDTH, dtype=np.float32)


def network_file() -> Path:
    """Return the file with the networks of the ``silero-vad`` package, without importing the package.

    Raises:
        ConfigError: the file is missing.
    """
    spec = importlib.util.find_spec("silero_vad")
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        path = Path(folder) / "data" / _FILE
        if path.is_file():
            return path
    raise ConfigError(f"voice activity: {_FILE} is missing; install it with: pip install 'silero-vad>=6'")


class _Network:
    """Magnitude spectra -> four convolutions -> LSTM -> one probability per step.

    Args:
        weights: {name in the file: tensor}.
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
        """Return the probabilities ``[K]`` of ``[64 + 512 K]`` samples, and the state after them."""
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
        hidden, state = self._run_lstm(x, state)
        logits = np.maximum(hidden, 0.0) @ self._output + self._output_bias
        return 0.5 + 0.5 * np.tanh(logits / 2), state

    def _run_lstm(self, x: Floats, state: tuple[Floats, Floats]) -> tuple[Floats, tuple[Floats, Floats]]:
        """Run the LSTM over ``[K, 1, 128]``: return its output, ``[K, 128]``, and its state at the end."""
        before = (_product(x, self._input) + self._gate_bias).reshape(len(x), *self._recurrent.shape[::2])
        out = np.empty((len(x), _WIDTH), dtype=np.float32)
        hidden, cell = state
        for k in range(len(x)):
            mixed = hidden @ self._recurrent
            mixed += before[k]
            candidate, input_gate, forget_gate, output_gate = np.tanh(mixed, out=mixed).reshape(4, _WIDTH)
            cell = (0.5 + 0.5 * forget_gate) * cell + (0.5 + 0.5 * input_gate) * candidate
            hidden = out[k] = (0.5 + 0.5 * output_gate) * np.tanh(cell)
        return out, (hidden, cell)


def _split(matrix: Floats, rows: int) -> Floats:
    """Split ``[A, B]`` into pieces ``[P, A, B / P]``, so small that BLAS multiplies ``rows`` by one in a single thread.

    Several threads would have to synchronise at every step, which is slow, above all on a busy machine. OpenBLAS uses
    one thread for products of one row with fewer than 9216 values, and of several rows up to 2 ** 18 multiplications.
    """
    width = matrix.shape[1]
    fits = (p for p in range(1, width + 1) if width % p == 0 and _is_single_threaded(rows, matrix.size // p))
    return np.ascontiguousarray(matrix.reshape(len(matrix), next(fits), -1).swapaxes(0, 1))


def _is_single_threaded(rows: int, values: int) -> bool:
    return values < 9216 if rows == 1 else rows * values <= 2**18


def _product(rows: Floats, pieces: Floats) -> Floats:
    """Multiply ``[K, T, A]`` by the pieces of ``[A, B]`` from :func:`_split`: ``[K, T, B]``."""
    found: Floats = (rows[:, None] @ pieces).swapaxes(1, 2).reshape(*rows.shape[:2], -1)
    return found


def _gates(weights: Floats) -> Floats:
    """Reorder the gates of ``[..., 4 * 128]`` to candidate, input, forget, output, scaled so that one tanh serves all.

    The last three are sigmoids: (1 + tanh(x / 2)) / 2.
    """
    input_gate, forget_gate, candidate, output_gate = np.split(weights, 4, axis=-1)
    return np.concatenate([candidate, input_gate / 2, forget_gate / 2, output_gate / 2], axis=-1)


@cache
def _load(path: Path) -> _Network:
    """Load the 16 kHz network, once per process."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, but the package uses it
        tensors = torch.jit.load(str(path), map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
    return _Network({k.removeprefix("_model."): v.numpy() for k, v in tensors.items() if k.startswith("_model.")})
