"""A training step on one thread: the published way, and as our classifier takes it.

The published step runs float32 in NCHW with the packaged memory-efficient swish, attention without
a fused kernel, and keeps the graph of frozen blocks. Ours is channels_last with plain swish, the
fused kernel, bfloat16 where the CPU has it, and no graph below the first trained block. The
networks and batches have the published sizes.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from efficientnet_pytorch import EfficientNet as PackagedEfficientNet
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.infer import rows_of_pixels
from benchmarks.measure import Row, compare, cpu_s, row
from deepfake.losses import BinaryCrossEntropy
from deepfake.models.cross_efficient_vit import CrossEfficientViT
from deepfake.models.efficient_vit import EfficientViT

SIZE = 224


def run(clips: Sequence[Path]) -> list[Row]:  # noqa: ARG001  every benchmark takes clips
    """Return a row for each of the two networks of the paper."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [
            measured("Efficient ViT", EfficientViT.published, batch=32),
            measured("Cross Efficient ViT", CrossEfficientViT.published, batch=16),
        ]
    finally:
        torch.set_num_threads(threads)


def measured(case: str, make: Callable[[], nn.Module], *, batch: int) -> Row:
    """Return the row of a network: CPU time of a step over a batch, per face."""
    torch.manual_seed(0)
    faces, labels = torch.rand(batch, 3, SIZE, SIZE), torch.tensor([0.0, 1.0] * (batch // 2))
    ours = step(make().to(memory_format=torch.channels_last), faces, labels, ours=True)  # type: ignore[call-overload]
    published = make().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    for module in published.modules():
        if isinstance(module, PackagedEfficientNet):
            module.set_swish(memory_efficient=True)
    reference = step(published, faces, labels, ours=False)

    def plainly() -> float:
        with sdpa_kernel(SDPBackend.MATH), rows_of_pixels():
            return cpu_s(reference)

    figures = compare(lambda: cpu_s(ours), plainly)
    return row("train", case, figures, "CPU ms per face", 1000 / batch)


def step(network: nn.Module, faces: Tensor, labels: Tensor, *, ours: bool) -> Callable[[], None]:
    """Return what takes one training step: forward, backward, SGD as in the paper."""
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-3, weight_decay=1e-7)
    criterion = BinaryCrossEntropy()
    if not ours:  # the published code freezes in the optimizer, so every block is in the graph
        network.requires_grad_(requires_grad=True)
    faces = faces.contiguous(memory_format=torch.channels_last) if ours else faces
    has_bfloat16 = torch.backends.cpu.get_cpu_capability() == "AVX512" and bool(
        torch.cpu._is_avx512_bf16_supported()  # torch has no public name for it
    )

    def take() -> None:
        network.train()
        optimizer.zero_grad()
        narrow = torch.autocast("cpu", torch.bfloat16) if ours and has_bfloat16 else nullcontext()
        with narrow:
            logits = network(faces)
        criterion(logits.float(), labels).backward()
        optimizer.step()

    return take
