"""What `load_published` reads, unwraps and refuses."""

import argparse
import os
import pickle
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from deepfake.checkpoints.published.load import load_published
from deepfake.checkpoints.tensors import read_tensors
from deepfake.errors import CheckpointError
from deepfake.models.convit import ConViT

Wrap = Callable[[dict[str, Tensor]], Any]


class RunsCode:
    """Pickles to a call of os.mkdir, harmless and visible."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    """Return a small ConViT under its published names."""
    own = ConViT("tiny", image_size=32).state_dict()
    published = {_published_name(name): tensor for name, tensor in own.items()}
    for number in (10, 11):
        block = f"blocks.{number}.attn"
        query, key_value = published.pop(f"{block}.query"), published.pop(f"{block}.key_value")
        published[f"{block}.qkv.weight"] = torch.cat([query, key_value])
    return published


def _published_name(name: str) -> str:
    if name.startswith("blocks."):
        _, number, rest = name.split(".", 2)
        name = f"blocks.{int(number) + 10}.{rest}"
    for ours, theirs in (
        ("local_blocks.", "blocks."),
        ("class_token", "cls_token"),
        ("positions", "pos_embed"),
        ("embed.w", "patch_embed.proj.w"),
        ("embed.b", "patch_embed.proj.b"),
        (".attention.gate", ".attn.gating_param"),
        (".attention.query_key.", ".attn.qk."),
        (".attention.query.weight", ".attn.query"),
        (".attention.key_value.weight", ".attn.key_value"),
        (".attention.value.", ".attn.v."),
        (".attention.project.", ".attn.proj."),
        (".attention.position.", ".attn.pos_proj."),
        (".attention_norm.", ".norm1."),
        (".mlp_norm.", ".norm2."),
        (".mlp.0.", ".mlp.fc1."),
        (".mlp.3.", ".mlp.fc2."),
    ):
        name = name.replace(ours, theirs)
    return name


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3, "optimizer": {"state": {}}},
        lambda state: {"model": {f"module.{name}": t for name, t in state.items()}},
        lambda state: {"state_dict": {f"network.{name}": t for name, t in state.items()}},
        lambda state: {"state_dict": {f"module.model.{name}": t for name, t in state.items()}},
        lambda state: {"state_dict": state, "best": np.float64(0.25), "step": np.int64(7)},
    ],
    ids=["bare", "state_dict", "module", "lightning", "both", "numpy scalars"],
)
def test_containers_are_unwrapped(wrap: Wrap, tensors: dict[str, Tensor], tmp_path: Path) -> None:
    file = tmp_path / "published.pth"
    torch.save(wrap(tensors), file)
    model = load_published(file)
    assert model.name == "convit_tiny"
    assert torch.equal(model.network.state_dict()["class_token"], tensors["cls_token"])


def test_the_older_format_of_torch_and_safetensors_are_read(
    tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save(tensors, tmp_path / "old", _use_new_zipfile_serialization=False)
    safetensors.torch.save_file(tensors, tmp_path / "named_wrongly.pth")
    for name in ("old", "named_wrongly.pth"):
        assert load_published(tmp_path / name).name == "convit_tiny"


def test_a_file_that_runs_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    traces = [tmp_path / "trace0", tmp_path / "trace1"]
    torch.save({"state_dict": RunsCode(traces[0])}, tmp_path / "zip.pth")
    (tmp_path / "pickle.pth").write_bytes(pickle.dumps({"model": RunsCode(traces[1])}))
    for name in ("zip.pth", "pickle.pth"):
        with pytest.raises(CheckpointError, match="would run code") as caught:
            load_published(tmp_path / name)
        assert "\n" not in str(caught.value)
    assert not any(trace.exists() for trace in traces)


def test_a_whole_pickled_network_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "network.pth")
    with pytest.raises(CheckpointError, match="would run code"):
        load_published(tmp_path / "network.pth")


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.99])
def test_a_file_cut_short_is_refused(
    part: float, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save(tensors, tmp_path / "zip")
    torch.save(tensors, tmp_path / "old", _use_new_zipfile_serialization=False)
    safetensors.torch.save_file(tensors, tmp_path / "safe")
    for name in ("zip", "old", "safe"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / "cut").write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(CheckpointError, match=r"cut short|damaged") as caught:
            load_published(tmp_path / "cut")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"hello, world",
        b"PK\x03\x04" + bytes(50),
        b"\x80\x02",
    ],
    ids=["empty", "png", "text", "zip", "pickle"],
)
def test_a_foreign_file_is_refused(contents: bytes, tmp_path: Path) -> None:
    (tmp_path / "file.pth").write_bytes(contents)
    with pytest.raises(CheckpointError, match="expected a file written by"):
        read_tensors(tmp_path / "file.pth")


def test_torchscript_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, its files are still about
        torch.jit.save(torch.jit.script(nn.ReLU()), str(tmp_path / "script.pt"))
    with pytest.raises(CheckpointError):
        load_published(tmp_path / "script.pt")


def test_what_holds_no_known_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No checkpoint at"):
        load_published(tmp_path / "missing.pth")
    with pytest.raises(CheckpointError, match="No checkpoint at"):
        load_published(tmp_path)
    with pytest.raises(CheckpointError, match=r"beginning with fc\.weight"):
        load_published({"fc.weight": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"found epoch \(int\)"):
        load_published({"epoch": 3})  # type: ignore[dict-item]
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="holds a list"):
        load_published(tmp_path / "list.pth")


def test_another_number_of_columns_is_not_taken_for_a_detector(
    tensors: dict[str, Tensor],
) -> None:
    names: Iterable[str] = ("head.weight", "head.bias")
    imagenet = tensors | {
        name: tensors[name].expand(1000, *tensors[name].shape[1:]) for name in names
    }
    with pytest.raises(CheckpointError, match="no network that is known"):
        load_published(imagenet)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda t: {f"_orig_mod.{k}": v for k, v in t.items()},
        lambda t: {"state_dict": {f"model._orig_mod.{k}": v for k, v in t.items()}},
        lambda t: {f"model.{k}": v for k, v in t.items()} | {"criterion.pos_weight": torch.ones(1)},
        lambda t: {"state_dict_ema": {f"module.{k}": v for k, v in t.items()}, "epoch": 3},
        lambda t: {"n_averaged": torch.ones(())} | {f"module.{k}": v for k, v in t.items()},
        lambda t: {f"model.{k}": v for k, v in t.items()}
        | {f"model_ema.module.{k}": torch.zeros_like(v) for k, v in t.items()},
        lambda t: {"state_dict": t, "args": argparse.Namespace(rate=0.1, out=Path("runs"))},
    ],
    ids=["compiled", "compiled inside", "loss", "ema alone", "averaged", "both", "options"],
)
def test_what_stands_beside_a_network_does_not_hide_it(
    wrap: Wrap, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save(wrap(tensors), tmp_path / "a.pth")
    model = load_published(tmp_path / "a.pth")
    assert model.name == "convit_tiny"
    assert torch.equal(model.network.state_dict()["class_token"], tensors["cls_token"])


def test_options_beside_unknown_weights_run_no_code(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.ones(2)}, "args": argparse.Namespace()}, tmp_path / "a")
    with pytest.raises(CheckpointError, match="holds no network that is known"):
        load_published(tmp_path / "a")
