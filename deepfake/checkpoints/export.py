"""Networks as ONNX, OpenVINO or safetensors, checked against the checkpoint."""

import logging
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepfake.checkpoints.loading import load, load_network
from deepfake.checkpoints.scorers import Faces, Scorer, TorchScorer
from deepfake.checkpoints.settings import KEY, Settings
from deepfake.errors import CheckpointError, DeepfakeError, require
from preprocessing.types import Image

if TYPE_CHECKING:
    from onnx import ModelProto

Format = Literal["onnx", "openvino", "safetensors"]
LARGEST_DIFFERENCE = 1e-3  # of a score in [0, 1]
HALF_FROM_AXES = 2  # vectors, such as biases and batch statistics, are small and stay exact


@dataclass(frozen=True)
class Parity:
    """How far the scores of an export are from the checkpoint's.

    Args:
        difference: The largest, of scores in [0, 1].
        faces: Inputs that were compared.
    """

    difference: float
    faces: int


def export(checkpoint: Path, kind: Format, out: Path, *, half: bool = False) -> Parity:
    """Write a checkpoint in another format, if its scores stay the same.

    Args:
        checkpoint: Of ours or published, with a torch network.
        kind: What to write. "safetensors" needs a checkpoint of ours.
        out: The file; it is only written when the scores agree.
        half: Store weights as float16; all is computed in float32 nevertheless.

    Raises:
        CheckpointError: The checkpoint cannot be read, or its format not be written.
        DeepfakeError: A package is missing, or scores differ by more than 1e-3.
    """
    network, settings = load_network(checkpoint)
    faces = parity_faces(settings)
    expected = TorchScorer(network).score(faces)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-") as folder:
        file = Path(folder) / out.name
        _write(network, settings, kind, file, half=half)
        found = _in_batches(load(file).scorer, faces)
        difference = float(np.abs(found - expected).max())
        if not difference <= LARGEST_DIFFERENCE:
            advice = "Leave --half out." if half else "Try another --format."
            raise DeepfakeError(
                f"{checkpoint} as {kind} changes a score by {difference:.2g}, more than "
                f"{LARGEST_DIFFERENCE:g} is refused. {advice}"
            )
        for written in sorted(Path(folder).iterdir()):
            written.replace(out.parent / written.name)
    return Parity(difference, len(faces))


def write(network: nn.Module, settings: Settings, out: Path) -> None:
    """Write a network with its settings, in the format that the name of the file ends in."""
    kind: Format = "safetensors" if out.suffix == ".safetensors" else "onnx"
    _write(network, settings, kind, out, half=False)


def _write(
    network: nn.Module,
    settings: Settings,
    kind: Format,
    file: Path,
    *,
    half: bool,
) -> None:
    text = settings.to_json()
    if kind == "safetensors":
        if settings.network is None:
            raise CheckpointError(
                "Only checkpoints of `python -m deepfake.train` say how to rebuild their network, "
                "which safetensors needs. Use --format onnx."
            )
        write_safetensors(network, text, file, half=half)
    elif kind == "openvino":
        write_openvino(to_onnx(network, settings), text, file, half=half)
    else:
        write_onnx(to_onnx(network, settings), text, file, network, half=half)


def parity_faces(settings: Settings) -> Faces:
    """Return faces on which an export must agree: (8, 3, S, S), or (8, T, 3, S, S).

    Black, white, a checkerboard, noise, and coarse coloured shapes as large as a face's parts.
    """
    size = settings.recipe.image_size
    random = np.random.default_rng(0)
    checks = np.indices((size, size)).sum(0)[..., None] % 2 * np.full(3, 255)
    images: list[Image] = [
        np.zeros((size, size, 3), np.uint8),
        np.full((size, size, 3), 255, np.uint8),
        checks.astype(np.uint8),
        random.integers(0, 256, (size, size, 3), dtype=np.uint8),
    ]
    for _ in range(4):
        coarse = random.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        images.append(np.asarray(cv2.resize(coarse, (size, size)), np.uint8))
    faces: NDArray[np.float32] = np.stack([settings.recipe.normalised(image) for image in images])
    if settings.frames > 1:  # a clip is a face and those that follow it
        frames = [np.roll(faces, -shift, axis=0) for shift in range(settings.frames)]
        faces = np.stack(frames, axis=1)
    return faces


def _in_batches(scorer: Scorer, faces: Faces) -> NDArray[np.float64]:
    """Return scores computed in batches of 1, 2 and the rest, since any size must do."""
    return np.concatenate([scorer.score(part) for part in np.split(faces, [1, 3])])


def to_onnx(network: nn.Module, settings: Settings) -> "ModelProto":
    """Return the graph from faces (B, ...) to logits (B,), without traces of this machine.

    For a checkpoint with a gauge, the features (B, D) are a second output.

    Raises:
        DeepfakeError: The packages that write graphs are not installed.
    """
    require("onnxscript", "export", "This format")
    for chatty in ("torch.onnx", "onnxscript", "onnx_ir"):  # a line for each node they remove
        logging.getLogger(chatty).setLevel(logging.ERROR)
    names = ["logits"] if settings.gauge is None else ["logits", "features"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about deprecations inside torch
        program = torch.onnx.export(
            network if settings.gauge is None else _WithFeatures(network),
            (torch.from_numpy(parity_faces(settings)[:3]),),
            dynamo=True,
            input_names=["faces"],
            output_names=names,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},),
            verbose=False,
        )
    assert program is not None
    model: ModelProto = program.model_proto
    graph = model.graph
    for part in (*graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]  # paths and lines of the source
    del graph.metadata_props[:]
    del model.metadata_props[:]
    return model


class _WithFeatures(nn.Module):
    PREFIX = "network."  # of its weights' names

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        features = self.network.forward_features(faces)  # type: ignore[operator]
        return self.network.forward_head(features), features  # type: ignore[operator]


def write_onnx(
    model: "ModelProto", text: str, file: Path, network: nn.Module, *, half: bool
) -> None:
    """Write a graph with the settings in its metadata.

    With `half`, weights of the network are float16 tensors and a Cast, which ONNX Runtime computes
    once, when it loads the graph.
    """
    model.metadata_props.add(key=KEY, value=text)
    if half:
        _halve(model, network)
    file.write_bytes(model.SerializeToString(deterministic=True))


def _halve(model: "ModelProto", network: nn.Module) -> None:
    from onnx import TensorProto, helper, numpy_helper

    weights = {name: p.detach().numpy() for name, p in network.named_parameters()}
    exact = {b.numpy().tobytes() for _, b in network.named_buffers()}
    exact |= {b.T.contiguous().numpy().tobytes() for _, b in network.named_buffers() if b.ndim == 2}
    nodes = []
    for tensor in list(model.graph.initializer):
        name, values = tensor.name, numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.ndim < HALF_FROM_AXES:
            continue
        if values.tobytes() in exact:
            continue
        weight = weights.get(name, weights.get(name.removeprefix(_WithFeatures.PREFIX)))
        stored, scale = _unfolded(values, weight)
        with np.errstate(over="ignore"):  # an overflow shows in the scores
            halved = numpy_helper.from_array(stored.astype(np.float16), f"{name}.half")
        tensor.CopyFrom(halved)
        whole = name if scale is None else f"{name}.whole"
        nodes.append(helper.make_node("Cast", [f"{name}.half"], [whole], to=TensorProto.FLOAT))
        if scale is not None:
            model.graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
            nodes.append(helper.make_node("Mul", [whole, f"{name}.scale"], [name]))
    nodes += list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _unfolded(
    values: NDArray[np.float32], weight: NDArray[np.float32] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return what to halve, and the batch norm's scale of each channel that was folded into it.

    Halving the product would round another number than `safetensors` with `half` does.
    """
    if weight is None or weight.shape != values.shape:
        return values, None
    axes = tuple(range(1, values.ndim))
    size = (weight**2).sum(axes, keepdims=True)
    scale = (values * weight).sum(axes, keepdims=True) / np.where(size == 0, 1, size)
    if not np.allclose(weight * scale, values, rtol=1e-3, atol=1e-6 * float(np.abs(values).max())):
        return values, None
    return weight, None if np.all(scale == 1) else scale.astype(np.float32)


def write_openvino(model: "ModelProto", text: str, file: Path, *, half: bool) -> None:
    """Write OpenVINO's .xml, with the settings in it, and .bin.

    Raises:
        DeepfakeError: OpenVINO is not installed.
    """
    require("openvino", "export", "This format")
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "graph.onnx"
        graph.write_bytes(model.SerializeToString())
        converted = openvino.convert_model(graph)
        converted.set_rt_info(text, [KEY])
        openvino.save_model(converted, file, compress_to_fp16=half)


def write_safetensors(network: nn.Module, text: str, file: Path, *, half: bool) -> None:
    """Write the network's tensors with the settings as the file's metadata."""
    from safetensors.torch import save_file

    state: Mapping[str, Any] = network.state_dict()
    tensors = {name: _stored(tensor, half=half) for name, tensor in state.items()}
    save_file(tensors, file, metadata={KEY: text})  # one entry: their order is not kept


def _stored(tensor: Tensor, *, half: bool) -> Tensor:
    if half and tensor.dtype == torch.float32 and tensor.ndim >= HALF_FROM_AXES:
        tensor = tensor.half()
    return tensor.clone(memory_format=torch.contiguous_format)  # shared memory is refused
