"""Learn motion: `python -m recipes.motion.training`, after `recipes.motion.prepare`.

What the layers see is computed once for all windows, so that the rest takes seconds. Talking heads
are left out by generator, and reals by person, in folds: the table printed is of folds whose
generator was never seen. Then one network is trained on all and written.
"""

import argparse
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from deepfake.evaluation.measures import auroc
from recipes.motion.draws import Tracked, made, noisy, read, windows
from recipes.motion.network import Kinematics, order_features

logger = logging.getLogger(__name__)

STEPS, BATCH, RATE, DECAY = 400, 256, 3e-3, 1e-2
TALKING_SHARE = 0.5  # of the fakes in a batch; the others are made of real tracks
SEEDS = 5  # networks whose weights' answers are averaged in the folds
FOLDS = 5


@dataclass(frozen=True, eq=False)
class Bank:
    """Windows by what the layers see of them.

    Args:
        features: (N, D).
        label: 0 real, 1 fake (N,).
        kind: "real", the generator, or what was done (N,).
        group: Person, whom no fold divides (N,).
        clip: Number of the clip (N,).
    """

    features: torch.Tensor
    label: NDArray[np.int64]
    kind: NDArray[np.str_]
    group: NDArray[np.str_]
    clip: NDArray[np.int64]

    def part(self, rows: NDArray[np.bool_]) -> "Bank":
        """Return some rows."""
        keep = torch.from_numpy(rows)
        return Bank(
            self.features[keep],
            self.label[rows],
            self.kind[rows],
            self.group[rows],
            self.clip[rows],
        )


def bank(clips: Sequence[Tracked], *, seed: int = 0, fakes: bool = True) -> Bank:
    """Return the windows of clips at every rate, and of the wrong tracks made of the real ones."""
    rng = np.random.default_rng(seed)
    tracks = [
        (i, c.clip.generator or "real", track) for i, c in enumerate(clips) for track in c.tracks
    ]
    if fakes:
        numbers = [i for i, c in enumerate(clips) if not c.clip.fake]
        found = made([clips[i] for i in numbers], rng)
        tracks += [(numbers[i], f"made {kind}", track) for i, kind, track in found]
    rows: list[tuple[int, str]] = []
    seen: list[NDArray[np.float32]] = []
    for number, kind, track in tracks:
        some = [noisy(w, rng) for w in windows(track, clips[number].fps)]
        seen += some
        rows += [(number, kind)] * len(some)
    features = torch.cat(
        [
            order_features(torch.from_numpy(np.stack(seen[a : a + 512])))
            for a in range(0, len(seen), 512)
        ]
    )
    number = np.array([row[0] for row in rows])
    kinds = np.array([row[1] for row in rows])
    groups = np.array([clips[i].clip.person for i in number])
    return Bank(features, (kinds != "real").astype(np.int64), kinds, groups, number)


def chances(part: Bank) -> NDArray[np.float64]:
    """Return how often each window is drawn: classes alike, then kinds, then clips."""
    made_rows = np.char.startswith(part.kind, "made")
    chance = np.zeros(len(part.label))
    shares = {"real": 1.0, "talking": TALKING_SHARE, "made": 1 - TALKING_SHARE}
    for name, rows in (
        ("real", part.label == 0),
        ("talking", (part.label == 1) & ~made_rows),
        ("made", made_rows),
    ):
        kinds = np.unique(part.kind[rows])
        for kind in kinds:
            here = rows & (part.kind == kind)
            clips, count = np.unique(part.clip[here], return_counts=True)
            each = dict(zip(clips, count, strict=True))
            chance[here] = [
                shares[name] / len(kinds) / len(clips) / each[c] for c in part.clip[here]
            ]
    return chance / chance.sum()


def fit(part: Bank, *, seed: int) -> Kinematics:
    """Train a network on windows."""
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    network = Kinematics()
    network.mean = part.features.mean(dim=0)
    network.scale = part.features.std(dim=0).clamp_min(1e-3)
    inputs = network.scaled(part.features)
    labels = torch.from_numpy(part.label).float()
    chance = chances(part)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        drawn = torch.from_numpy(generator.choice(len(chance), BATCH, p=chance))
        logits = network.head(network.layers(inputs[drawn])).squeeze(1)
        loss = F.binary_cross_entropy_with_logits(logits, labels[drawn])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


@torch.inference_mode()
def clip_scores(networks: Sequence[Kinematics], part: Bank) -> dict[int, float]:
    """Return the mean logit of each clip's windows."""
    logits = torch.stack([n.head(n.layers(n.scaled(part.features))).squeeze(1) for n in networks])
    mean = logits.mean(dim=0).numpy()
    return {int(c): float(mean[part.clip == c].mean()) for c in np.unique(part.clip)}


def folds(found: Bank) -> Iterator[tuple[str, dict[int, float], dict[int, float]]]:
    """Yield each generator with scores of reals and of its clips, none seen in training."""
    untouched = ~np.char.startswith(found.kind, "made")
    people = np.unique(found.group[found.label == 0])
    fold = {p: i % FOLDS for i, p in enumerate(np.random.default_rng(0).permutation(people))}
    of_row = np.array([fold.get(g, -1) for g in found.group])
    for generator in np.unique(found.kind[untouched & (found.label == 1)]):
        reals: dict[int, float] = {}
        fakes: list[dict[int, float]] = []
        of_it = found.kind == generator
        for number in range(FOLDS):
            out = of_row == number
            networks = [fit(found.part(~out & ~of_it), seed=s) for s in range(1)]
            reals |= clip_scores(networks, found.part(out & (found.label == 0)))
            fakes.append(clip_scores(networks, found.part(of_it)))
        yield str(generator), reals, {c: float(np.mean([f[c] for f in fakes])) for c in fakes[0]}


def main() -> None:
    """Print what folds give, then train on all and write the network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/motion"))
    parser.add_argument("--out", type=Path, default=Path("data/motion/kinematics.pt"))
    given = parser.parse_args()
    clips = [
        c for c in read(given.data) if c.clip.use == "train" and (c.clip.talking or not c.clip.fake)
    ]
    found = bank(clips)
    names, counts = np.unique(found.kind, return_counts=True)
    print(dict(zip(names.tolist(), counts.tolist(), strict=True)))
    for generator, reals, fakes in folds(found):
        area = auroc([0] * len(reals) + [1] * len(fakes), [*reals.values(), *fakes.values()])
        print(f"left out {generator:18} {len(reals)} reals {len(fakes)} fakes: AUROC {area:.3f}")
    networks = [fit(found, seed=seed) for seed in range(SEEDS)]
    torch.save([network.state_dict() for network in networks], given.out)


if __name__ == "__main__":
    main()
