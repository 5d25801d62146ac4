"""Compare checkpoints on unlike sources: `python -m recipes.default_model.select runs/*/*.ckpt`.

The default model is the one with the highest mean of the counted sources, never the best on one.
"""

import argparse
import logging
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepfake.cli.console import DONE, run

if TYPE_CHECKING:
    from deepfake.checkpoints.loading import Checkpoint
    from deepfake.evaluation.intervals import Interval
    from recipes.default_model.sources import Source, Videos

logger = logging.getLogger(__name__)

COUNTED = ("pairs", "self_blended", "swapped", "clips", "DFDC crops", "Celeb-DF")
FALSE_ALARMS = 0.1
BATCH = 64


@dataclass(frozen=True)
class Row:
    """What a checkpoint reaches on a source, by video.

    Args:
        source: Its name.
        reals: Real videos.
        fakes: Fake videos.
        auroc: Of the scores.
        interval: 95 % of it.
        left: AUROC after size and sharpness are regressed out of the logits.
        size_auroc: Of the face's size alone.
        sharpness_auroc: Of sharpness alone.
        size_correlation: Pearson, of the logit with log size, on real videos.
        sharpness_correlation: The same with log sharpness.
        fake_sharpness_correlation: The same on fake videos. Of the other sign, soft faces are
            judged with less certainty; of the same sign, they are taken for fake.
        alarms: Share of real videos called fake, by the threshold that calls at most
            `FALSE_ALARMS` of all real videos fake.
        caught: Share of fake videos called fake.
    """

    source: str
    reals: int
    fakes: int
    auroc: float
    interval: "Interval"
    left: float
    size_auroc: float
    sharpness_auroc: float
    size_correlation: float
    sharpness_correlation: float
    fake_sharpness_correlation: float
    alarms: float
    caught: float


def score(checkpoint: "Checkpoint", source: "Source") -> NDArray[np.float64]:
    """Return raw P(fake) of a source's faces (N,)."""
    found = []
    for start in range(0, len(source.faces), BATCH):
        part = source.faces[start : start + BATCH]
        faces = np.stack([checkpoint.recipe.prepare(image) for image in part])
        found.append(checkpoint.scorer.score(faces))
    return np.concatenate(found)


def measure(found: "dict[str, Videos]") -> tuple[list[Row], float]:
    """Return a row for each source, and the threshold; raw scores above it are called fake."""
    reals = np.concatenate([v.score[v.label == 0] for v in found.values()])
    threshold = float(np.quantile(reals, 1 - FALSE_ALARMS, method="higher"))
    return [_row(name, videos, threshold) for name, videos in found.items()], threshold


def _row(name: str, videos: "Videos", threshold: float) -> Row:
    from deepfake.aggregation import CLIP
    from deepfake.evaluation.intervals import auroc_interval, bootstrap
    from deepfake.evaluation.measures import auroc
    from deepfake.evaluation.shortcuts import residual_auroc, shortcut_auroc

    y, s = videos.label, videos.score
    looks = np.log(np.stack([videos.size, videos.sharpness + 1e-3], axis=1))
    clipped = np.clip(s, CLIP, 1 - CLIP)
    logits = np.log(clipped) - np.log1p(-clipped)
    real = y == 0
    value = auroc(y, s)
    exact = bootstrap(lambda a, b: [auroc(a, b)], y, s, groups=videos.group)[0]
    if not exact.high - exact.low > 0:
        exact = auroc_interval(value, int(real.sum()), int((~real).sum()))
    return Row(
        name,
        int(real.sum()),
        int((~real).sum()),
        value,
        exact,
        residual_auroc(y, s, looks),
        shortcut_auroc(y, videos.size),
        shortcut_auroc(y, videos.sharpness),
        _correlation(logits[real], looks[real, 0]),
        _correlation(logits[real], looks[real, 1]),
        _correlation(logits[~real], looks[~real, 1]),
        _share(s[real] > threshold),
        _share(s[~real] > threshold),
    )


def _share(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if flags.size else math.nan


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    if a.size < 3 or a.std() == 0 or b.std() == 0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def mean_auroc(rows: Sequence[Row]) -> tuple[float, float]:
    """Return the mean over the counted sources of the AUROC, and of what is left of it."""
    counted = [row for row in rows if row.source in COUNTED]
    return (
        float(np.mean([row.auroc for row in counted])),
        float(np.mean([row.left for row in counted])),
    )


def table(name: str, rows: Sequence[Row], threshold: float) -> str:
    """Return a Markdown table of one checkpoint."""
    mean, left = mean_auroc(rows)
    counted = sum(row.source in COUNTED for row in rows)
    lines = [
        f"### {name}: mean of {counted} sources {mean:.3f}, "
        f"size and sharpness regressed out {left:.3f}, raw threshold {threshold:.3f}",
        "",
        "| source | real | fake | AUROC [95 %] | regressed out | size alone | sharpness alone "
        "| r size | r sharpness | of fakes | reals called fake | fakes called fake |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        numbers = [
            f"{row.auroc:.3f} [{row.interval.low:.2f}, {row.interval.high:.2f}]",
            f"{row.left:.3f}",
            f"{row.size_auroc:.2f}",
            f"{row.sharpness_auroc:.2f}",
            f"{row.size_correlation:+.2f}",
            f"{row.sharpness_correlation:+.2f}",
            f"{row.fake_sharpness_correlation:+.2f}",
            f"{row.alarms:.0%}",
            f"{row.caught:.0%}",
        ]
        cells = [row.source, str(row.reals), str(row.fakes)]
        cells += [number if "nan" not in number else "–" for number in numbers]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.default_model.select", description=__doc__
    )
    add = parser.add_argument
    add("checkpoints", type=Path, nargs="+")
    add("--train", type=Path, default=Path("data/default_model"), help="of weights.material")
    add("--clips", type=Path, default=Path("data/clips"), help="preprocessed ../shared/data/clips")
    add("--crops", type=Path, default=Path("data/crops"), help="preprocessed ../shared/data/crops")
    add("--cache", type=Path, default=Path("data/default_model/validation"))
    return parser


def main() -> int:
    """Print a table for each checkpoint; return the exit status."""
    given = parser().parse_args()
    from deepfake.aggregation import by_name
    from deepfake.checkpoints.loading import load
    from recipes.default_model.sources import per_video, sources

    means = []
    for path in given.checkpoints:
        checkpoint = load(path)
        made = sources(
            given.train,
            given.clips,
            given.crops,
            recipe=checkpoint.recipe,
            options=checkpoint.preprocess,
            cache=given.cache,
        )
        rule = by_name(checkpoint.aggregation)
        videos = {
            source.name: per_video(source, score(checkpoint, source), rule) for source in made
        }
        rows, threshold = measure(videos)
        name = f"{path.parent.name}/{path.stem}"
        sys.stdout.write(table(name, rows, threshold) + "\n")
        sys.stdout.flush()
        means.append((mean_auroc(rows), name))
    for (mean, left), name in sorted(means, reverse=True):
        sys.stdout.write(f"{mean:.3f}  {left:.3f}  {name}\n")
    return DONE


if __name__ == "__main__":
    run(main)
