"""Several networks on one face, each with its own margin: the mean of what they say."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepfake.models.network import Network


class ViewEnsemble(Network):
    """Judge a face by the mean logit of networks that were trained at different margins.

    Networks that learnt from unlike material and at unlike margins err on unlike faces. One crop,
    as wide as the widest wants it, serves all: each network gets the square in the middle of it
    that it knows, resampled to its own size.

    Args:
        networks: Each takes normalised faces (B, 3, s, s) and gives logits (B,).
        views: Share of the crop's side that each sees, in (0, 1].
        sizes: Side s of each network's input, in pixels.
        temperatures: Each network's logits are divided by it, so that they share a scale.
        image_size: Side of the crop, in pixels.

    Raises:
        ValueError: There is not one view, size and temperature for each network.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        views: Sequence[float],
        sizes: Sequence[int],
        temperatures: Sequence[float],
        *,
        image_size: int = 248,
    ) -> None:
        super().__init__()
        if not len(networks) == len(views) == len(sizes) == len(temperatures) > 0:
            raise ValueError(
                f"{len(networks)} networks need as many views, sizes and temperatures, found "
                f"{len(views)}, {len(sizes)} and {len(temperatures)}"
            )
        self.networks = nn.ModuleList(networks)
        self.temperatures = list(temperatures)
        self.widths = [int(network.num_features) for network in networks]  # type: ignore[arg-type]
        self.num_features = sum(self.widths)
        self.seen: list[slice] = []
        for number, (view, size) in enumerate(zip(views, sizes, strict=True)):
            matrix = resampling(image_size, view, size)
            used = np.flatnonzero(matrix.any(axis=0))
            self.seen.append(slice(int(used[0]), int(used[-1]) + 1))
            block = repeated(matrix[:, self.seen[-1]])
            self.register_buffer(f"view{number}", torch.from_numpy(block), persistent=False)

    def faces(self, faces: Tensor, number: int) -> Tensor:
        """Return the faces (B, 3, s, s) that a network sees of crops (B, 3, S, S)."""
        block: Tensor = getattr(self, f"view{number}")
        part = faces[..., self.seen[number], self.seen[number]]
        if block.shape == (1, 1):  # the part is taken pixel by pixel
            return part
        rows = (block @ torch.unflatten(part, -2, (-1, block.shape[1]))).flatten(-3, -2)
        return (torch.unflatten(rows, -1, (-1, block.shape[1])) @ block.T).flatten(-2)

    def forward_features(self, faces: Tensor) -> Tensor:
        """Return the features of all networks (B, D), one behind the other, for crops."""
        found = [
            network.forward_features(self.faces(faces, number))  # type: ignore[operator]
            for number, network in enumerate(self.networks)
        ]
        return torch.cat(found, dim=1)

    def forward_head(self, features: Tensor) -> Tensor:
        """Return logits (B,) of features (B, D)."""
        parts = torch.split(features, self.widths, dim=1)
        logits = [
            network.forward_head(part) / temperature  # type: ignore[operator]
            for network, part, temperature in zip(
                self.networks, parts, self.temperatures, strict=True
            )
        ]
        return torch.stack(logits).mean(dim=0)


def repeated(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the block that a matrix (M, N) repeats along its diagonal, all of it where none is."""
    count = math.gcd(*matrix.shape)
    block = matrix[: matrix.shape[0] // count, : matrix.shape[1] // count]
    same = np.allclose(np.kron(np.eye(count), block), matrix, rtol=0, atol=1e-6)
    return np.ascontiguousarray(block if same else matrix)


def resampling(side: int, view: float, size: int) -> NDArray[np.float32]:
    """Return what samples the middle of a line anew: (size, side), each row sums to 1.

    As OpenCV does it: pixels are averaged by area if the line shrinks, and linearly interpolated
    if it grows.

    Args:
        side: Pixels of the line.
        view: Share of it that is kept, in (0, 1].
        size: Pixels wanted.
    """
    step = side * view / size
    edges = (side - side * view) / 2 + step * np.arange(size + 1)
    pixels = np.arange(side)
    if step > 1:
        upper, lower = np.minimum(edges[1:, None], pixels + 1), np.maximum(edges[:-1, None], pixels)
        weights = np.clip(upper - lower, 0, None)
    else:
        middle = np.clip((edges[:-1] + edges[1:]) / 2 - 0.5, 0, side - 1)
        weights = np.clip(1 - np.abs(middle[:, None] - pixels), 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)
