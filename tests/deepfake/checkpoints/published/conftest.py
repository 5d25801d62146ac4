"""Weights and faces made from names and shapes alone, and the logits that published code gives."""

import json
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.conftest import REFERENCE

SHARED = Path(__file__).parents[5] / "shared"


def fill(name: str, shape: Iterable[int], salt: int, gain: float) -> Tensor:
    """Return the weights of a published tensor, drawn from its name."""
    shape = tuple(shape)
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    generator = np.random.default_rng([zlib.crc32(name.encode()), salt])
    draw = np.asarray(generator.standard_normal(shape), dtype=np.float32)
    values: NDArray[np.floating[Any]]
    if name.endswith("running_var"):
        values = np.asarray(1 + 0.1 * np.abs(draw))
    elif name.endswith("running_mean"):
        values = 0.1 * draw
    elif len(shape) <= 1:
        values = 1 + 0.1 * draw if name.endswith("weight") else 0.02 * draw
    else:
        values = gain * draw.astype(np.float64) / np.sqrt(float(np.prod(shape[1:])))
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def image_batch(size: int, salt: int) -> NDArray[np.float32]:
    """Return four images (4, 3, size, size) in 0..255: waves of colour and noise."""
    generator = np.random.default_rng([7, salt])
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    images = np.empty((4, 3, size, size), np.float32)
    for image in images:
        for channel in image:
            a, b, phase = (
                generator.uniform(1, 6),
                generator.uniform(1, 6),
                generator.uniform(0, 6.28),
            )
            wave = 90 * np.sin(6.28 * (a * x + b * y) + phase)
            channel[:] = 127.5 + wave + 10 * generator.standard_normal((size, size))
    return np.clip(images, 0, 255)


def normalised(
    images: NDArray[np.float32], mean: tuple[float, ...], std: tuple[float, ...]
) -> Tensor:
    """Return images (B, 3, S, S) in 0..255 as the network takes them."""
    shape = (1, 3, 1, 1)
    unit = images / np.float32(255)
    return torch.from_numpy(
        (
            (unit - np.array(mean, np.float32).reshape(shape))
            / np.array(std, np.float32).reshape(shape)
        ).astype(np.float32)
    )


@dataclass(frozen=True)
class Reference:
    """One file of reference numbers."""

    contents: dict[str, Any]

    def state(self, prefix: str = "") -> dict[str, Tensor]:
        """Return the published tensors; `prefix` is put before their names."""
        salt, gain = self.contents["salt"], self.contents["gain"]
        return {
            prefix + name: fill(name, shape, salt, gain)
            for name, shape in self.contents["state_dict"]
        }

    def images(self) -> NDArray[np.float32]:
        return image_batch(self.contents["input"]["size"], self.contents["salt"])

    def logits(self, key: str = "logits") -> Tensor:
        """Return the logits of fake (4,), two columns as fake minus real."""
        logits = torch.tensor(self.contents[key])
        fake = self.contents["output"]["fake"]
        return logits[:, 0] if logits.shape[1] == 1 else logits[:, fake] - logits[:, 1 - fake]

    def check(self, logits: Tensor, key: str = "logits") -> None:
        torch.testing.assert_close(logits, self.logits(key), **self.contents["tolerance"])


@pytest.fixture
def reference() -> Callable[[str], Reference]:
    """Return a function that reads the reference numbers of a published network."""

    def read(name: str) -> Reference:
        return Reference(json.loads((REFERENCE / "networks" / f"{name}.json").read_text()))

    return read


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of shared data, which may not exist."""
    return SHARED


@pytest.fixture(scope="session")
def made() -> Callable[[Iterable[tuple[str, Iterable[int]]], int, float], dict[str, Tensor]]:
    """Return a function that makes a published state_dict of (name, shape), salt and gain."""

    def make(
        tensors: Iterable[tuple[str, Iterable[int]]], salt: int, gain: float
    ) -> dict[str, Tensor]:
        return {name: fill(name, shape, salt, gain) for name, shape in tensors}

    return make


@pytest.fixture(scope="session")
def made_faces() -> Callable[..., Tensor]:
    """Return a function that makes four faces of a size, normalised by mean and std."""

    def make(size: int, salt: int, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
        return normalised(image_batch(size, salt), mean, std)

    return make
