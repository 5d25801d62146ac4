"""Simulate what intervals, comparisons and the undecided band promise.

    python -m tests.reliability.simulate [--sets 600] [--fits 1000] [--write docs/evaluation.md]

Scores are those of two normals of deviation 1. The tests beside the code repeat the like in short.
"""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from deepfake.calibration import fit
from deepfake.evaluation.delong import delong_test, grouped_auroc_interval

Labels = NDArray[np.int64]
Scores = NDArray[np.float64]

# People, videos of each, the share of variance that belongs to the person.
PEOPLE = ((20, 1, 0.0), (40, 1, 0.0), (100, 1, 0.0), (6, 6, 0.5), (10, 6, 0.5), (10, 6, 0.9))
AREAS = (0.7, 0.95, 0.99)
BANDS = (
    *((50, 50, area, 0.05) for area in (0.8, 0.97)),
    *((100, 100, area, 0.05) for area in (0.8, 0.9, 0.97)),
    *((400, 400, area, 0.05) for area in (0.8, 0.9, 0.97)),
    (50, 200, 0.95, 0.05),
    (100, 100, 0.9, 0.1),
)


def shift(area: float) -> float:
    """Return how far apart two normals of deviation 1 have that AUROC."""
    return math.sqrt(2) * float(stats.norm.ppf(area))


def of_people(
    rng: np.random.Generator, *, area: float, groups: int, each: int, alike: float
) -> tuple[Labels, Scores, Labels]:
    """Return labels, scores and people of videos; `alike` is the share of variance of a person."""
    people = np.repeat(np.arange(groups), each)
    labels = people % 2
    person = rng.normal(size=groups)[people] * math.sqrt(alike)
    scores = person + rng.normal(size=people.size) * math.sqrt(1 - alike)
    return labels, scores + labels * shift(area), people


def coverage(sets: int, *, area: float, groups: int, each: int, alike: float) -> float:
    """Return in what share of simulated data sets the AUROC's interval holds the true value."""
    held = 0
    for seed in range(sets):
        rng = np.random.default_rng(seed)
        found = grouped_auroc_interval(
            *of_people(rng, area=area, groups=groups, each=each, alike=alike)
        )
        held += found.low <= area <= found.high
    return held / sets


def false_findings(sets: int, *, groups: int, each: int, by_person: bool) -> float:
    """Return how often two equal checkpoints differ at 5 %; half the variance is the person's."""
    found = 0
    for seed in range(sets):
        rng = np.random.default_rng(seed)
        labels, first, people = of_people(rng, area=0.85, groups=groups, each=each, alike=0.5)
        _, second, _ = of_people(rng, area=0.85, groups=groups, each=each, alike=0.5)
        test = delong_test(labels, first, second, people if by_person else None)
        found += test.p_value < 0.05
    return found / sets


def decided(seed: int, reals: int, fakes: int, area: float, target: float) -> tuple[float, float]:
    """Return the share of new videos that is decided by one fitted band, and wrongly so."""
    rng = np.random.default_rng(seed)
    logits = np.append(rng.normal(0, 1, reals), rng.normal(shift(area), 1, fakes))
    labels, scores = [0] * reals + [1] * fakes, 1 / (1 + np.exp(-logits))
    found = fit(labels, scores.tolist(), method="none", target_error=target)
    low, high = (
        math.log(p / (1 - p)) if p and p < 1 else math.inf * (1 if p else -1)
        for p in found.undecided
    )
    real = reals / (reals + fakes)
    wrong = real * stats.norm.sf(high) + (1 - real) * stats.norm.cdf(low - shift(area))
    right = real * stats.norm.cdf(low) + (1 - real) * stats.norm.sf(high - shift(area))
    return float(wrong + right), float(wrong)


def intervals_table(sets: int) -> Iterator[str]:
    """Yield rows of Markdown: how often intervals hold the truth."""
    yield "| people | videos of each | alike | " + " | ".join(f"AUROC {a}" for a in AREAS) + " |"
    yield "| --- |" + " --- |" * (2 + len(AREAS))
    for groups, each, alike in PEOPLE:
        held = [coverage(sets, area=a, groups=groups, each=each, alike=alike) for a in AREAS]
        cells = " | ".join(f"{share:.1%}" for share in held)
        yield f"| {groups} | {each} | {alike} | {cells} |"


def comparisons_table(sets: int) -> Iterator[str]:
    """Yield rows of Markdown: how often equal checkpoints are said to differ."""
    yield "| people | videos of each | people independent | videos independent |"
    yield "| --- | --- | --- | --- |"
    for groups, each in ((10, 8), (20, 8), (40, 4)):
        cells = [false_findings(sets, groups=groups, each=each, by_person=b) for b in (True, False)]
        yield f"| {groups} | {each} | {cells[0]:.1%} | {cells[1]:.1%} |"


def bands_table(fits: int) -> Iterator[str]:
    """Yield rows of Markdown: how many of the decided are wrong."""
    yield (
        "| reals + fakes | AUROC | target | fits that keep it | mean error of the decided "
        "| nothing decided | decided else |"
    )
    yield "| --- |" + " --- |" * 6
    for reals, fakes, area, target in BANDS:
        shares = np.array([decided(seed, reals, fakes, area, target) for seed in range(fits)])
        some = shares[shares[:, 0] > 0]
        kept = float((shares[:, 1] <= target * shares[:, 0]).mean())
        error, much = ("–", "–")
        if len(some):
            error = f"{float((some[:, 1] / some[:, 0]).mean()):.1%}"
            much = f"{float(some[:, 0].mean()):.0%}"
        yield (
            f"| {reals} + {fakes} | {area} | {target:.0%} | {kept:.1%} | {error} "
            f"| {1 - len(some) / fits:.0%} | {much} |"
        )


def main(arguments: Sequence[str]) -> int:
    """Print the tables, or put each between its marks in a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--sets", type=int, default=600, help="data sets for each interval")
    parser.add_argument("--fits", type=int, default=1000, help="fits of each band")
    parser.add_argument("--write", type=Path, help="a page with marks")
    given = parser.parse_args(arguments)
    tables = {
        "coverage": intervals_table(given.sets),
        "comparisons": comparisons_table(given.sets),
        "bands": bands_table(given.fits),
    }
    for name, rows in tables.items():
        text = "\n".join(rows)
        if not given.write:
            sys.stdout.write(text + "\n\n")
            continue
        begin, end = (f"<!-- {name}: {what} -->" for what in ("begin", "end"))
        page = given.write.read_text(encoding="utf-8")
        head, tail = page.split(begin)[0], page.split(end)[1]
        given.write.write_text(f"{head}{begin}\n{text}\n{end}{tail}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
