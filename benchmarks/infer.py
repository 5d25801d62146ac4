"""Networks on one thread of the CPU: as packaged, and as `predict` runs them.

The reference is the same network as its packages run it: float32, NCHW, memory-efficient swish,
attention without a fused kernel. Ours are torch with channels_last, and exported graphs on ONNX
Runtime and OpenVINO. Scores must stay within 1e-3; a row of each says how far they are.
"""

import copy
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from efficientnet_pytorch import EfficientNet as PackagedEfficientNet
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.measure import Row, compare, cpu_s, row
from benchmarks.networks import CLIP_FRAMES, build, faces_for, rows
from deepfake.backends import Faces, OnnxScorer, OpenVinoScorer, Scorer, TorchScorer, sigmoid
from deepfake.calibration import Calibration
from deepfake.checkpoints import Settings
from deepfake.exporting import LARGEST_DIFFERENCE, to_onnx, write_onnx, write_openvino
from deepfake.models.frame_transformer import FrameTransformer
from deepfake.recipe import InputRecipe
from preprocessing.types import PreprocessOptions

DOCUMENT = Path(__file__).parents[1] / "docs" / "networks.md"
BATCH = 4

logger = logging.getLogger(__name__)


def run(clips: Sequence[Path]) -> list[Row]:  # noqa: ARG001  every benchmark takes clips
    """Return rows for each network of docs/networks.md."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [
            measured
            for cells in rows(DOCUMENT.read_text(encoding="utf-8"))
            for measured in network_rows(cells[0].strip("`"), int(cells[1]))
        ]
    finally:
        torch.set_num_threads(threads)


def network_rows(expression: str, size: int) -> list[Row]:
    """Return time and difference of each way to run a network on faces of a size in pixels."""
    logger.info("%s, %d px", expression, size)
    torch.manual_seed(0)
    network = build(expression)
    is_temporal = isinstance(network, FrameTransformer)
    tensor = faces_for(network, size, 1 if is_temporal else BATCH).contiguous()
    settle(network, tensor)
    faces = tensor.numpy()
    count = len(faces) * (CLIP_FRAMES if is_temporal else 1)
    reference = as_packaged(network)
    expected = reference(faces)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            InputRecipe(image_size=size),
            PreprocessOptions(),
            Calibration(),
            "mean",
            frames=CLIP_FRAMES if is_temporal else 1,
        )
        for name, scorer in backends(network, settings, Path(folder)):
            case = f"{expression}, {name}"
            figures = compare(timed(scorer.score, faces), timed(reference, faces))
            found.append(row("infer", case, figures, "CPU ms per face", 1000 / count))
            difference = max(float(np.abs(scorer.score(faces) - expected).max()), 1e-9)
            limit = LARGEST_DIFFERENCE
            found.append(
                Row("infer", f"{case}: scores", difference, limit, limit / difference, 0, "apart")
            )
    return found


def backends(network: nn.Module, settings: Settings, folder: Path) -> Iterator[tuple[str, Scorer]]:
    """Yield each way to run a network, by name."""
    yield "torch", TorchScorer(network)
    yield "torch bfloat16", Bfloat16Scorer(network)
    graph = to_onnx(network, settings)
    write_openvino(graph, "{}", folder / "m.xml", half=False)
    write_onnx(graph, "{}", folder / "m.onnx", half=False)
    yield "onnx", OnnxScorer(folder / "m.onnx", threads=1)
    yield "openvino", OpenVinoScorer(folder / "m.xml", threads=1)


class Bfloat16Scorer(TorchScorer):
    """Scores with bfloat16 where torch deems it safe; 8 bits of mantissa."""

    def score(self, faces: Faces) -> Any:  # noqa: ANN401
        """Return P(fake) (B,)."""
        with torch.autocast("cpu", torch.bfloat16):
            return super().score(faces)


def timed(work: Callable[[Faces], object], faces: Faces) -> Callable[[], float]:
    """Return what measures the CPU seconds of scoring these faces."""
    return lambda: cpu_s(lambda: work(faces))


def settle(network: nn.Module, faces: Tensor) -> None:
    """Give batch norms the statistics of these faces; fresh ones let the signal die out."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(faces)
    network.eval()


def as_packaged(network: nn.Module) -> Callable[[Faces], Any]:
    """Return what scores faces with a copy of the network as its packages run it."""
    copied = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    for module in copied.modules():
        if isinstance(module, PackagedEfficientNet):
            module.set_swish(memory_efficient=True)

    def score(faces: Faces) -> Any:  # noqa: ANN401
        with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), rows_of_pixels():
            return sigmoid(copied(torch.from_numpy(faces)).numpy())

    return score


@contextmanager
def rows_of_pixels() -> Iterator[None]:
    """Keep networks from turning faces into channels_last, which some do by themselves."""
    plain = torch.Tensor.contiguous

    def contiguous(tensor: Tensor, **_: object) -> Tensor:
        return plain(tensor)

    with patch.object(torch.Tensor, "contiguous", contiguous):
        yield
