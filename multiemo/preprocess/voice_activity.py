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
from typing import TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from multiemo.errors import ConfigError

Floats: TypeAlias = NDArray[np.float32]

#: Hz, of the sound that the network reads.
RATE = 16000
#: Samples from one probability to the next.
STEP = 512
#: Samples before a step that the network sees with it.
_CONTEXT = 64
#: Steps in one pass; longer blocks take several, which bounds the memory.
_BLOCK = 512
_FILE = "silero_vad.jit"
#: Size and shift of the spectra, bins of each, and width of the recurrent layer.
_WINDOW, _SHIFT, _BINS, _WIDTH = 256, 128, 129, 128
#: Strides of the convolutions; 4, 4, 2, 1 and 1 spectra of a step are left.
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
        sound = np.concatenate([self._kept, np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)])
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
        self._basis = weights["stft.forward_basis_buffer"][:, 0].T.copy()  # [256, 2 * bins]
        names = [f"encoder.{k}.reparam_conv" for k in range(len(_STRIDES))]
        self._kernels = [weights[f"{n}.weight"].transpose(2, 1, 0) for n in names]
        self._kernels = [np.ascontiguousarray(k.reshape(-1, k.shape[2])) for k in self._kernels]  # [3 * in, out]
        self._biases = [weights[f"{n}.bias"] for n in names]
        # Gates: in, forget, new, out. The sigmoid of three of them is (1 + tanh(x / 2)) / 2: one tanh for all four.
        half = np.repeat(np.array([0.5, 0.5, 1.0, 0.5], dtype=np.float32), _WIDTH)
        self._input = (weights["decoder.rnn.weight_ih"].T * half).copy()  # [128, 4 * 128]
        self._recurrent = (weights["decoder.rnn.weight_hh"].T * half).copy()
        self._gate_bias = (weights["decoder.rnn.bias_ih"] + weights["decoder.rnn.bias_hh"]) * half
        self._output = weights["decoder.decoder.2.weight"][0, :, 0].copy()
        self._output_bias = weights["decoder.decoder.2.bias"][0]

    def run(self, sound: Floats, state: tuple[Floats, Floats]) -> tuple[Floats, tuple[Floats, Floats]]:
        """Probabilities ``[K]`` of ``[64 + 512 K]`` samples, and the state after them."""
        steps = sliding_window_view(sound, _CONTEXT + STEP)[::STEP]
        mirrored = np.concatenate([steps, steps[:, -2 : -2 - _CONTEXT : -1]], axis=1)
        spectra = _windows(mirrored, _WINDOW, _SHIFT) @ self._basis
        x = np.hypot(spectra[..., :_BINS], spectra[..., _BINS:])
        for kernel, bias, stride in zip(self._kernels, self._biases, _STRIDES, strict=True):
            padded = np.pad(x, ((0, 0), (1, 1), (0, 0)))
            flat, width = padded.reshape(len(padded), -1), padded.shape[2]
            x = np.maximum(_windows(flat, 3 * width, stride * width) @ kernel + bias, 0.0)
        hidden, state = self._remember(x[:, 0], state)
        logits = np.maximum(hidden, 0.0) @ self._output + self._output_bias
        return 1 / (1 + np.exp(-logits)), state

    def _remember(self, x: Floats, state: tuple[Floats, Floats]) -> tuple[Floats, tuple[Floats, Floats]]:
        """The LSTM over ``[K, 128]``: what it puts out, and its state at the end."""
        before = x @ self._input + self._gate_bias
        out = np.empty_like(x)
        hidden, cell = state
        for k in range(len(x)):
            gates = np.tanh(hidden @ self._recurrent + before[k]).reshape(4, _WIDTH)
            come, stay, _, show = 0.5 + 0.5 * gates
            cell = stay * cell + come * gates[2]
            hidden = out[k] = show * np.tanh(cell)
        return out, (hidden, cell)


def _windows(rows: Floats, size: int, shift: int) -> Floats:
    """``[K, N]`` -> ``[K, T, size]``, the stretches of each row that begin every ``shift`` values."""
    return np.ascontiguousarray(sliding_window_view(rows, size, axis=1)[:, ::shift])


@cache
def _load(path: Path) -> _Network:
    """The 16 kHz network, read once a process."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, but is what the package comes as
        tensors = torch.jit.load(str(path), map_location="cpu").state_dict()
    return _Network({k.removeprefix("_model."): v.numpy() for k, v in tensors.items() if k.startswith("_model.")})
