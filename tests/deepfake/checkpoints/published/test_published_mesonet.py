"""MesoNet's real weights score the published test images as Keras did; bad files are refused."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from deepfake.checkpoints import tensors
from deepfake.checkpoints.published.base import PublishedModel
from deepfake.checkpoints.published.load import load_published
from deepfake.errors import CheckpointError
from preprocessing.types import Image
from tests.conftest import REFERENCE

FILES = {
    "Meso4_DF.h5": "meso4",
    "Meso4_F2F.h5": "meso4",
    "MesoInception_DF.h5": "mesoinception4",
    "MesoInception_F2F.h5": "mesoinception4",
}


def rgb(path: Path) -> Image:
    image = cv2.imread(str(path))
    assert image is not None
    return np.ascontiguousarray(image[:, :, ::-1], dtype=np.uint8)


def p_fake(model: PublishedModel, image: Image) -> float:
    face = torch.from_numpy(model.recipe.prepare(image))[None]
    with torch.no_grad():
        return float(model.network(face).sigmoid())


@pytest.mark.realdata
@pytest.mark.parametrize("file", FILES)
def test_real_weights_score_as_published(
    file: str, shared: Path, made_faces: Callable[..., Tensor]
) -> None:
    weights = shared / "data" / "weights" / "mesonet" / file
    numbers = REFERENCE / "networks" / f"{FILES[file]}.json"
    if not weights.is_file():
        pytest.skip(f"no MesoNet weights under {shared}")
    expected = json.loads(numbers.read_text())["files"][file]
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == expected["sha256"]

    model = load_published(weights)

    assert model.name == FILES[file]
    faces = made_faces(256, 1, (0, 0, 0), (1, 1, 1))
    with torch.no_grad():
        logits = model.network(faces)
    torch.testing.assert_close(
        logits, -torch.tensor(expected["logits"])[:, 0], rtol=1e-3, atol=1e-4
    )
    folder = shared / "data" / "crops" / "mesonet_test_images"
    for name, scores in expected["scores"].items():
        image = rgb(folder / name.rpartition("__")[2])
        assert p_fake(model, image) == pytest.approx(scores["P_fake"], abs=1e-4)


@contextmanager
def keras_file(path: Path) -> Iterator[Any]:
    with h5py.File(path, "w") as file:
        yield file


def write_meso4(path: Path, *, first: int = 1, output_bias: float = 0.0) -> None:
    """Write Meso4 as Keras does, with weights of 0 but for the last bias."""
    shapes: dict[str, list[tuple[int, ...]]] = {
        "conv2d": [(3, 3, 3, 8), (5, 5, 8, 8), (5, 5, 8, 16), (5, 5, 16, 16)],
        "dense": [(1024, 16), (16, 1)],
    }
    with keras_file(path) as file:
        for kind, kernels in shapes.items():
            for number, shape in enumerate(kernels, start=first):
                layer = f"{kind}_{number}/{kind}_{number}"
                bias = output_bias if shape == (16, 1) else 0.0
                file[f"{layer}/kernel:0"] = np.zeros(shape, np.float32)
                file[f"{layer}/bias:0"] = np.full(shape[-1:], bias, np.float32)
        for number, width in enumerate((8, 8, 16, 16), start=first):
            layer = f"batch_normalization_{number}/batch_normalization_{number}"
            for array in ("gamma", "beta", "moving_mean", "moving_variance"):
                file[f"{layer}/{array}:0"] = np.ones(width, np.float32)


def test_the_output_is_turned_from_real_to_fake(tmp_path: Path) -> None:
    write_meso4(tmp_path / "real.h5", output_bias=2.0)
    model = load_published(tmp_path / "real.h5")
    assert p_fake(model, np.zeros((256, 256, 3), np.uint8)) == pytest.approx(1 / (1 + np.e**2))


def test_layers_are_ordered_by_number_not_by_name(tmp_path: Path) -> None:
    write_meso4(tmp_path / "late.h5", first=8)  # conv2d_10 sorts before conv2d_8 as a string
    assert load_published(tmp_path / "late.h5").name == "meso4"


def test_the_dense_kernel_takes_rows_columns_channels(tmp_path: Path) -> None:
    file = tmp_path / "weights.h5"
    write_meso4(file)
    state = tensors.read_h5(file)
    kernel = torch.arange(1024.0).reshape(8, 8, 16)  # row, column, channel
    state["dense_1/dense_1/kernel:0"][:, 0] = kernel.flatten()
    network = load_published(state).network
    ours = network.get_parameter("hidden.1.weight")[0].reshape(16, 8, 8)
    assert ours[3, 5, 7] == kernel[5, 7, 3]


def test_files_that_reach_outside_or_are_too_large_are_refused(tmp_path: Path) -> None:
    outside, large = tmp_path / "outside.h5", tmp_path / "large.h5"
    (tmp_path / "secret").write_bytes(bytes(64))
    with keras_file(outside) as file:
        storage = [(str(tmp_path / "secret"), 0, 64)]
        file.create_dataset("dense_1/kernel:0", (16,), np.float32, external=storage)
    with pytest.raises(CheckpointError, match="stored elsewhere"):
        tensors.read_h5(outside)

    with keras_file(large) as file:
        file.create_dataset("dense_1/kernel:0", (2**40,), np.float32, chunks=(2**10,))
    assert large.stat().st_size < 10_000
    with pytest.raises(
        CheckpointError, match=r"holds dense_1/kernel:0 of shape \(1099511627776,\)"
    ):
        tensors.read_h5(large)


def test_links_to_other_files_are_not_followed(tmp_path: Path) -> None:
    write_meso4(tmp_path / "other.h5")
    with keras_file(tmp_path / "link.h5") as file:
        file["dense_1"] = h5py.ExternalLink("other.h5", "/dense_1")
    assert tensors.read_h5(tmp_path / "link.h5") == {}


def test_objects_and_damage_are_refused(tmp_path: Path) -> None:
    strings, cut = tmp_path / "strings.h5", tmp_path / "cut.h5"
    with keras_file(strings) as file:
        file["names"] = np.array([b"conv2d_1"], dtype=object)
    with pytest.raises(CheckpointError, match="only arrays of numbers"):
        tensors.read_h5(strings)
    write_meso4(cut)
    cut.write_bytes(cut.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match=r"cut\.h5 is damaged"):
        tensors.read_h5(cut)


def test_another_keras_network_is_not_recognised(tmp_path: Path) -> None:
    with keras_file(tmp_path / "vgg.h5") as file:
        file["block1_conv1/block1_conv1_W:0"] = np.zeros((3, 3), np.float32)
    with pytest.raises(CheckpointError, match="no network that is known"):
        load_published(tmp_path / "vgg.h5")
