"""Measure the motion network on generators it never saw: `python -m recipes.motion.validation`.

SkyReels-A1, Follow-Your-Emoji, Act-One and AniPortrait, against the reals of the same pages and
against all reals; as found, encoded again alike (`prepare --crf 23`), and with the frames shuffled.
Beside it stands what frame rate, bit rate and size of the face tell alone. Intervals draw people:
a reenacted face counts as the person who drives it.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from deepfake.evaluation.intervals import bootstrap
from deepfake.evaluation.measures import auroc
from recipes.motion.draws import Tracked, read, windows
from recipes.motion.network import Kinematics
from recipes.motion.sources import PAGES

SHUFFLES = 5
Score = Callable[[Tracked], float]


def load(path: Path) -> list[Kinematics]:
    """Return the networks that `recipes.motion.training` wrote."""
    found = []
    for state in torch.load(path, weights_only=True):
        network = Kinematics()
        network.load_state_dict(state)
        found.append(network.eval())
    return found


@torch.inference_mode()
def score(networks: Sequence[Kinematics], clip: Tracked, *, shuffle: int | None = None) -> float:
    """Return the mean logit of a clip's windows, their frames shuffled where a seed is given."""
    some = [w for t in clip.tracks for w in windows(t, clip.fps)]
    if shuffle is not None:
        rng = np.random.default_rng(shuffle)
        some = [w[rng.permutation(len(w))] for w in some]
    points = torch.from_numpy(np.stack(some))
    return float(torch.stack([network(points) for network in networks]).mean())


def area(clips: Sequence[Tracked], scores: Sequence[float]) -> dict[str, float]:
    """Return the AUROC of scores with its interval by person."""
    labels = np.array([int(c.clip.fake) for c in clips])
    people = [c.clip.person for c in clips]

    def measure(y: NDArray[np.int64], s: NDArray[np.float64]) -> Sequence[float]:
        return (auroc(y, s),)

    (interval,) = bootstrap(measure, labels, scores, groups=people)
    value = auroc(labels, scores)
    return {"auroc": value, "low": interval.low, "high": interval.high}


def table(clips: Sequence[Tracked], networks: Sequence[Kinematics]) -> dict[str, dict[str, float]]:
    """Return what motion, and what each shortcut alone, tells of some clips."""
    found = {"motion": area(clips, [score(networks, c) for c in clips])}
    drawn = [area(clips, [score(networks, c, shuffle=s) for c in clips]) for s in range(SHUFFLES)]
    found["frames shuffled"] = {k: float(np.mean([d[k] for d in drawn])) for k in drawn[0]}
    alone: dict[str, Score] = {
        "frame rate alone": lambda c: c.fps,
        "bit rate alone": lambda c: c.bit_rate,
        "face size alone": lambda c: c.face_px,
    }
    return found | {name: area(clips, [of(c) for c in clips]) for name, of in alone.items()}


def main() -> None:
    """Print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/motion"))
    parser.add_argument("--networks", type=Path, default=Path("data/motion/kinematics.pt"))
    parser.add_argument("--out", type=Path, default=Path("data/motion/validation.json"))
    given = parser.parse_args()
    networks = load(given.networks)
    everything = {}
    for folder in ("tracks", "tracks_crf23"):
        clips = [c for c in read(given.data, folder) if c.clip.use == "val"]
        clips = [c for c in clips if c.clip.talking or not c.clip.fake]
        own = [c for c in clips if c.clip.source in PAGES]
        parts = {"own reals": own, "all reals": clips}
        for name in sorted({c.clip.generator for c in own if c.clip.fake}):
            parts[name] = [c for c in clips if not c.clip.fake or c.clip.generator == name]
        for name, part in parts.items():
            fakes = sum(c.clip.fake for c in part)
            if fakes in (0, len(part)):
                continue
            rows = table(part, networks)
            everything[f"{folder}/{name}"] = rows
            print(f"{folder}, {name}: {len(part) - fakes} reals, {fakes} fakes")
            for what, row in rows.items():
                print(f"  {what:18} {row['auroc']:.3f} [{row['low']:.2f}, {row['high']:.2f}]")
    given.out.write_text(json.dumps(everything, indent=1))


if __name__ == "__main__":
    main()
