"""Networks on one thread of the CPU: as packaged, and as `predict --backend` runs them.

The reference is the same network as its packages run it: float32, NCHW, memory-efficient swish,
attention without a fused kernel, in a process of its own as Python starts it. Ours are torch with
channels_last, and exported graphs on ONNX Runtime and OpenVINO, all in float32. Scores must stay
within 1e-3; a row of each says how far they are, and another the time of its multiply-adds at the
rate of a large matrix product, the floor of float32.
"""

import copy
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from efficientnet_pytorch import EfficientNet as PackagedEfficientNet
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.measure import REPETITIONS, Row, cpu_s, row
from benchmarks.networks import CLIP_FRAMES, CLIPS, build, faces_for, rows
from deepfake.checkpoints.export import LARGEST_DIFFERENCE, to_onnx, write_onnx, write_openvino
from deepfake.checkpoints.scorers import (
    Faces,
    OnnxScorer,
    OpenVinoScorer,
    Scorer,
    TorchScorer,
    sigmoid,
)
from deepfake.checkpoints.settings import Settings
from deepfake.inference.faces import BATCH
from deepfake.recipe import InputRecipe
from preprocessing.types import PreprocessOptions

DOCUMENT = Path(__file__).parents[1] / "docs" / "networks.md"
LARGE = 4.0  # thousand millions of multiply-adds; above, 2 faces keep a core as busy as 8
LARGE_BATCH = 2
PRODUCT = 1024  # side of a matrix product, which runs at the processor's peak

logger = logging.getLogger(__name__)


def run(clips: Sequence[Path]) -> list[Row]:  # noqa: ARG001  every benchmark takes clips
    """Return rows for each network of docs/networks.md."""
    return run_networks(rows(DOCUMENT.read_text(encoding="utf-8")))


def run_networks(table: Sequence[Sequence[str]]) -> list[Row]:
    """Return rows for networks: expression, size of the face in pixels, parameters, GFLOPs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    context = get_context("spawn")
    here, there = context.Pipe()
    packaged = context.Process(target=serve_packaged, args=(there,), daemon=True)
    packaged.start()
    there.close()
    try:
        found = []
        for cells in table:
            gigaflops = float(cells[3])
            batch = LARGE_BATCH if gigaflops > LARGE else BATCH
            measured = network_rows(cells[0].strip("`"), int(cells[1]), batch, here)
            found += [*measured, floor(cells[0].strip("`"), measured, gigaflops)]
        return found
    finally:
        packaged.kill()
        packaged.join()
        torch.set_num_threads(threads)


def network_rows(expression: str, size: int, batch: int, packaged: Connection) -> list[Row]:
    """Return time and difference of each way to run a network on faces of a size in pixels."""
    logger.info("%s, %d px", expression, size)
    packaged.send((expression, size, batch))
    network, faces = prepared(expression, size, batch)
    expected = packaged.recv()
    is_temporal = isinstance(network, CLIPS)
    settings = Settings(
        InputRecipe(image_size=size),
        PreprocessOptions(),
        frames=CLIP_FRAMES if is_temporal else 1,
    )
    with tempfile.TemporaryDirectory() as folder:
        scorers = backends(network, settings, Path(folder))
        difference = max(
            float(np.abs(scorer.score(faces) - expected).max()) for scorer in scorers.values()
        )
        turns = []
        for _ in range(REPETITIONS):
            ours = {name: cpu_s(lambda s=s: s.score(faces)) for name, s in scorers.items()}  # type: ignore[misc]
            packaged.send(None)
            turns.append((ours, packaged.recv()))
    scale, found = 1000 / batch, []
    for name in scorers:
        figures = [turn[0][name] for turn in turns], [turn[1] for turn in turns]
        found.append(row("infer", f"{expression}, {name}", figures, "CPU ms per face", scale))
    apart = max(difference, 1e-9)
    limit = LARGEST_DIFFERENCE
    return [*found, Row("infer", f"{expression}: scores", apart, limit, limit / apart, 0, "apart")]


def floor(expression: str, measured: Sequence[Row], gigaflops: float) -> Row:
    """Return the row of what the arithmetic alone would take, and of how near the best comes."""
    left, right = torch.randn(2, PRODUCT, PRODUCT)
    seconds = min(cpu_s(lambda: left @ right) for _ in range(REPETITIONS))
    least = gigaflops * 1e12 / (PRODUCT**3 / seconds)
    best = min(each.ours for each in measured if each.unit == "CPU ms per face")
    case = f"{expression}: floor of float32"
    return Row("infer", case, best, least, least / best, 0, "CPU ms per face")


def prepared(expression: str, size: int, batch: int) -> tuple[nn.Module, Faces]:
    """Return a network in eval mode and faces for it, the same in every process."""
    torch.manual_seed(0)
    network = build(expression)
    clips = isinstance(network, CLIPS)
    tensor = faces_for(network, size, max(1, batch // CLIP_FRAMES) if clips else batch)
    settle(network, tensor.contiguous())
    return network, tensor.contiguous().numpy()


def serve_packaged(end: Connection) -> None:
    """Score as packaged, for another process: scores of a named network, then CPU seconds."""
    torch.set_num_threads(1)
    while True:
        expression, size, batch = end.recv()
        network, faces = prepared(expression, size, batch)
        score = as_packaged(network)
        end.send(score(faces))
        for _ in range(REPETITIONS):
            end.recv()
            end.send(cpu_s(lambda score=score, faces=faces: score(faces)))  # type: ignore[misc]


def backends(network: nn.Module, settings: Settings, folder: Path) -> dict[str, Scorer]:
    """Return each way to run a network, by name."""
    graph = to_onnx(network, settings)
    write_openvino(graph, "{}", folder / "m.xml", half=False)
    write_onnx(graph, "{}", folder / "m.onnx", network, half=False)
    return {
        "torch": TorchScorer(network),
        "onnx": OnnxScorer(folder / "m.onnx", threads=1),
        "openvino": OpenVinoScorer(folder / "m.xml", threads=1),
    }


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
