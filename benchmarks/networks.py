"""Measure the networks of docs/networks.md and write the figures into its tables.

python -m benchmarks.networks

The first column of a row is the expression that builds the network, the second the input's side in
pixels. Parameters, multiply-adds and faces per second are filled in. Faces per second are faces per
CPU second of one thread, so that a busy machine changes them less. The table of the families that
cards describe is written from the cards; `--cards` writes it alone.
"""

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from deepfake.checkpoints.published.card import Card, known_cards
from deepfake.models.adapter_classifier import AdapterClassifier
from deepfake.models.attention_efficientnet import EfficientNetAutoAttB4
from deepfake.models.attention_pooling import AttentionPooling
from deepfake.models.caddm import CADDM
from deepfake.models.cmt import CMT
from deepfake.models.convit import ConViT
from deepfake.models.cross_efficient_vit import CrossEfficientViT
from deepfake.models.cvit import CViT
from deepfake.models.efficient_vit import EfficientViT
from deepfake.models.efficientnet import EfficientNet
from deepfake.models.frame_transformer import FrameTransformer
from deepfake.models.frequency import SPSL, F3Net
from deepfake.models.genconvit import GenConViTED
from deepfake.models.mesonet import Meso4, MesoInception4
from deepfake.models.ms_eff_vit import MSEffViT
from deepfake.models.multi_stage import MultiStageClassifier
from deepfake.models.tall import TALL
from deepfake.models.timm_classifier import TimmClassifier
from deepfake.models.ucf import UCF
from deepfake.models.views import ViewEnsemble

DOCUMENT = Path(__file__).parents[1] / "docs" / "networks.md"
CLASSES = (
    AdapterClassifier, AttentionPooling, CADDM, CMT, CViT, ConViT, CrossEfficientViT,
    EfficientNet, EfficientNetAutoAttB4, EfficientViT, F3Net, FrameTransformer, GenConViTED,
    Meso4, MesoInception4, MSEffViT, MultiStageClassifier, SPSL, TALL, TimmClassifier, UCF,
    ViewEnsemble,
)  # fmt: skip
CLIPS = (AttentionPooling, FrameTransformer, TALL)  # these take clips
CLIP_FRAMES = 8
CARDS = ("<!-- cards, by `python -m benchmarks.networks --cards` -->\n", "<!-- end of cards -->")
BATCH = 4
REPETITIONS = 3


def build(expression: str) -> nn.Module:
    """Return the network that an expression of the table builds."""
    names = {network.__name__: network for network in CLASSES}
    network: nn.Module = eval(expression, {"__builtins__": {}}, names)  # of our own document
    return network.eval()


def rows(document: str) -> list[list[str]]:
    """Return the cells of the rows that name a network by its expression."""
    lines = [line for line in document.splitlines() if line.startswith("| `")]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [cells for cells in table if cells[1].isdigit()]


def faces_for(network: nn.Module, size: int, batch: int) -> Tensor:
    """Return random faces (B, 3, S, S), or clips of 8 where the network takes clips."""
    shape = (batch, 3, size, size)
    if isinstance(network, CLIPS):
        frames = 4 if isinstance(network, TALL) else CLIP_FRAMES
        shape = (batch, frames, 3, size, size)  # type: ignore[assignment]
        return torch.randn(shape)
    return torch.randn(shape).to(memory_format=torch.channels_last)


def parameters(network: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(network: nn.Module, size: int) -> float:
    """Return thousand millions of multiply-adds for one face."""
    faces = faces_for(network, size, 1)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        network(faces)
    count = faces.shape[1] if faces.ndim == 5 else 1
    return float(counter.get_total_flops()) / 2e9 / count


def faces_per_second(network: nn.Module, size: int) -> float:
    """Return faces per CPU second of one thread, the best of three batches."""
    network = network.to(memory_format=torch.channels_last)
    faces = faces_for(network, size, 1 if isinstance(network, CLIPS) else BATCH)
    count = len(faces) * (faces.shape[1] if faces.ndim == 5 else 1)
    times = []
    with torch.inference_mode():
        network(faces)
        for _ in range(REPETITIONS):
            start = time.process_time()
            network(faces)
            times.append(time.process_time() - start)
    return count / min(times)


def measured(cells: list[str]) -> list[str]:
    """Return a row with its figures filled in."""
    expression, size = cells[0].strip("`"), int(cells[1])
    network = build(expression)
    figures = (
        f"{parameters(network):,}",
        f"{multiply_adds(network, size):.2f}",
        f"{faces_per_second(network, size):.3g}",
    )
    return [*cells[:2], *figures, *cells[5:]]


def with_cards(document: str) -> str:
    """Return the document with its table of cards written anew."""
    start, end = CARDS
    head = ("name", "file", "becomes", "where to find it", "licence", "reported by its authors")
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    lines += [f"| {' | '.join(cells)} |" for cells in dict.fromkeys(map(_card, known_cards()))]
    before, _, rest = document.partition(start)
    return before + start + "\n".join(lines) + "\n" + end + rest.partition(end)[2]


def _card(card: Card) -> tuple[str, ...]:
    network = card.network["class_path"].rpartition(".")[2]
    timm = card.network.get("init_args", {}).get("name", "")
    where = f"[{card.where}](https://github.com/{card.where})"
    paper = f"; [paper]({card.paper})" if card.paper else ""
    return (
        *(card.name, f"`{card.file}`", f"`{network}`{f' on {timm}' if timm else ''}"),
        *(where + paper, card.licence, card.reported),
    )


def main() -> None:
    """Fill in the tables of the document."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.networks", description=__doc__)
    parser.add_argument("--cards", action="store_true", help="write the table of cards alone")
    only_cards = parser.parse_args().cards
    torch.set_num_threads(1)
    document = with_cards(DOCUMENT.read_text())
    DOCUMENT.write_text(document)
    for cells in [] if only_cards else rows(document):
        old = next(line for line in document.splitlines() if line.startswith(f"| {cells[0]} "))
        new = "| " + " | ".join(measured(cells)) + " |"
        document = document.replace(old, new)
        print(new, flush=True)
    DOCUMENT.write_text(document)


if __name__ == "__main__":
    main()
