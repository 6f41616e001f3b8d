"""CenterFace on many pictures at once, in torch: for a GPU, on which OpenCV's wheels do not run networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from multiemo.arrays import Pixels
from multiemo.preprocess.faces.detection import CenterFace, Face

from .onnx_network import OnnxNetwork


class BatchedCenterFace:
    """Finds the faces that :class:`CenterFace` finds, in several pictures of one size at a time.

    Args:
        path: the ONNX file.
        size: longer side of a picture passed to the network, pixels; smaller pictures are not enlarged.
        min_score: smallest value of the heat map that counts as a face.
        device: device of the network. On a CPU it is slower than :class:`CenterFace`.
    """

    def __init__(self, path: Path, size: int, min_score: float, device: torch.device) -> None:
        self.single = CenterFace(path, size, min_score)
        self.device = device
        self.network = OnnxNetwork(path, CenterFace.OUTPUTS).to(device).eval()

    @torch.inference_mode()
    def detect(self, frames: Sequence[Pixels]) -> list[list[Face]]:
        """The faces in each picture, most confident first.

        Args:
            frames: ``[H, W, 3]`` uint8 RGB pictures of one size.
        """
        prepared = [self.single.padded(frame) for frame in frames]
        pictures = torch.from_numpy(np.stack([picture for picture, _ in prepared])).to(self.device)
        outputs = [output.cpu().numpy() for output in self.network(pictures.permute(0, 3, 1, 2).float())]
        found = []
        for row, (_, scale) in enumerate(prepared):
            found.append(self.single.decoded([output[row] for output in outputs], scale))
        return found
