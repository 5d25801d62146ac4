import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deepfake.checkpoints.build import build
from deepfake.checkpoints.loading import find_checkpoint, load
from deepfake.errors import CheckpointError
from deepfake.models.mesonet import Meso4

Contents = dict[str, Any]


def saved(tmp_path: Path, contents: object) -> Path:
    path = tmp_path / "a.ckpt"
    torch.save(contents, path)
    return path


def test_scores_are_those_of_the_network(checkpoint: Path) -> None:
    loaded = load(checkpoint)
    faces = np.random.default_rng(0).random((3, 3, 256, 256), dtype=np.float32)
    network = Meso4().eval()
    contents = torch.load(checkpoint, weights_only=True)
    network.load_state_dict(
        {k.removeprefix("network."): v for k, v in contents["state_dict"].items()}
    )
    expected = network(torch.from_numpy(faces)).sigmoid().detach().numpy()
    np.testing.assert_allclose(loaded.scorer.score(faces), expected, rtol=1e-5)
    assert loaded.preprocess.frames == 4
    assert loaded.recipe.image_size == 256
    assert len(loaded.sha256) == 64


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    witness = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {witness}",)

    for name, data in (
        ("bare.pth", pickle.dumps(Evil())),
        ("zip.ckpt", None),
    ):
        path = tmp_path / name
        if data is None:
            torch.save({"deepfake": Evil(), "state_dict": {}}, path)
        else:
            path.write_bytes(data)
        with pytest.raises(CheckpointError):
            load(path)
        assert not witness.exists()


@pytest.mark.parametrize(
    "class_path",
    ["os.system", "subprocess.Popen", "builtins.eval", "not_imported.Network", "", "torch.load"],
)
def test_a_checkpoint_cannot_name_what_is_no_network(class_path: str) -> None:
    with pytest.raises(CheckpointError, match="not one of this project"):
        build({"class_path": class_path, "init_args": {}})


def test_arguments_that_do_not_fit_are_refused() -> None:
    with pytest.raises(CheckpointError, match="do not fit"):
        build({"class_path": "deepfake.models.mesonet.Meso4", "init_args": {"nonsense": 1}})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 99}, "version 99"),
        ({"recipe": None}, "not a checkpoint of this project"),
        ({"recipe": {"colour_order": "RGB"}}, "unknown recipe entry"),
        ({"aggregation": "best"}, "No aggregation rule"),
        ({"network": None}, "does not say which network"),
        ({"preprocess": {"frames": 3, "x": 1}}, "unknown option x"),
    ],
)
def test_settings_that_cannot_be_right_are_named(
    tmp_path: Path, contents: Contents, change: Contents, words: str
) -> None:
    contents["deepfake"].update(change)
    with pytest.raises(CheckpointError, match=words):
        load(saved(tmp_path, contents))


def test_weights_that_do_not_fit_are_refused(tmp_path: Path, contents: Contents) -> None:
    contents["state_dict"].popitem()
    with pytest.raises(CheckpointError, match="do not fit"):
        load(saved(tmp_path, contents))


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut short", b"\xfa" * 500])
def test_foreign_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.ckpt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"a\.ckpt"):
        load(path)


def test_onnx_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(CheckpointError, match="not an ONNX file"):
        load(path)


def test_missing_checkpoints_name_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No checkpoint at"):
        find_checkpoint(tmp_path / "none.ckpt")
