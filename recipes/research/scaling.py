r"""How the error falls with more kinds of fakes to learn from: A N^-alpha, with intervals.

    python -m recipes.research.scaling --data data/faces --test data/celeb-df --name more-methods \
        -- --config configs/efficient_vit.yaml --trainer.max_epochs 5

Trains on the fakes of 1, 2, 4, ... methods of one folder of crops, and all its reals, with three
seeds each, and measures every run on the test folder. The first method is another one with each
seed. With `--by dataset` whole data sets are counted instead. What follows `--` goes to
`deepfake.train`. Runs are `runs/NAME-<k>/seed<s>`; those that are there are not trained again.
Errors (1 - AUROC of videos) are in `runs/NAME/errors.csv`, which `--fit` alone fits:

    python -m recipes.research.scaling --fit runs/more-methods/errors.csv
"""

import argparse
import csv
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from preprocessing.crops.manifest import OPTIONS, read_manifest, write_manifest
from recipes.research.links import link

Floats = NDArray[np.float64]
SEEDS = 3
DRAWS = 2000
RUNS = Path("runs")
Train = Callable[[Sequence[str]], int]
Measure = Callable[[Path, Path, Path], float]  # the error of a checkpoint on crops, and its folder


class ScalingError(ValueError):
    """Errors that no curve can be fitted to, or data without domains."""


@dataclass(frozen=True)
class Curve:
    """Error = A N^-alpha, each with the ends of its 95 % interval.

    A is the error with one domain; alpha is 0 where more domains do not help.
    """

    a: float
    a_low: float
    a_high: float
    alpha: float
    alpha_low: float
    alpha_high: float

    def __call__(self, domains: float) -> float:
        """Return the error that the curve gives for a number of domains."""
        return float(self.a * domains**-self.alpha)

    def __str__(self) -> str:
        """Return the curve in words."""
        return (
            f"error = A N^-alpha, A {self.a:.3f} [{self.a_low:.3f}, {self.a_high:.3f}], "
            f"alpha {self.alpha:.3f} [{self.alpha_low:.3f}, {self.alpha_high:.3f}]"
        )


def fit(domains: ArrayLike, errors: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> Curve:
    """Fit logarithms by least squares; intervals are by a studentised bootstrap of residuals.

    Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 6.2. What all runs
    share, as the luck of one test set, is not in the intervals.

    Args:
        domains: N of each run (R,).
        errors: Of each run (R,), such as 1 - AUROC.
        draws: How often residuals are drawn.
        seed: Same seed, same interval.

    Raises:
        ScalingError: Fewer than two numbers of domains or four runs, or an error that is not above
            0, which has no logarithm.
    """
    n, e = np.asarray(domains, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    if n.size < 4 or np.unique(n).size < 2:
        raise ScalingError("A curve needs four runs or more, with two numbers of domains or more.")
    if not (np.isfinite(e).all() and (e > 0).all() and (n >= 1).all()):
        raise ScalingError("Errors must be above 0, and numbers of domains 1 or more.")
    design = np.column_stack([np.ones(n.size), -np.log(n)])
    inverse = np.linalg.inv(design.T @ design)

    def solved(y: Floats) -> tuple[Floats, Floats]:  # (..., R) to coefficients, deviations (..., 2)
        values = y @ design @ inverse
        variance = ((y - values @ design.T) ** 2).sum(axis=-1, keepdims=True) / (n.size - 2)
        return values, np.sqrt(variance * np.diag(inverse))

    values, deviations = solved(np.log(e))
    leverage = np.einsum("ij,jk,ik->i", design, inverse, design)
    left = (np.log(e) - design @ values) / np.sqrt(np.maximum(1 - leverage, 1e-9))
    drawn = np.random.default_rng(seed).choice(left - left.mean(), size=(draws, n.size))
    again, around = solved(design @ values + drawn)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = np.nan_to_num((again - values) / around)
    low, high = np.quantile(ratios, (0.025, 0.975), axis=0)
    (a_low, alpha_low), (a_high, alpha_high) = values - high * deviations, values - low * deviations
    return Curve(
        a=math.exp(values[0]),
        a_low=math.exp(a_low),
        a_high=math.exp(a_high),
        alpha=float(values[1]),
        alpha_low=float(alpha_low),
        alpha_high=float(alpha_high),
    )


def sizes(domains: int) -> list[int]:
    """Return 1, 2, 4, ... and the number of domains itself.

    >>> sizes(6), sizes(4), sizes(1)
    ([1, 2, 4, 6], [1, 2, 4], [1])
    """
    return sorted({*(2**k for k in range(domains.bit_length()) if 2**k < domains), domains})


def domains_of(data: Path, by: str = "method") -> list[str]:
    """Return the methods of a folder's fakes, or its data sets, in order of name.

    Raises:
        ScalingError: There are fewer than two.
    """
    crops = read_manifest(data)
    found = sorted({str(getattr(c, by)) for c in crops if by != "method" or c.label == 1})
    if len(found) < 2:
        raise ScalingError(f"{data} has {len(found)} {by}; a curve needs two or more.")
    return found


def subset(data: Path, chosen: Sequence[str], out: Path, by: str = "method") -> Path:
    """Make a folder of the crops of some domains alone; their files are hard links.

    By method, all reals stay.
    """
    crops = [
        crop
        for crop in read_manifest(data)
        if getattr(crop, by) in chosen or (by == "method" and crop.label == 0)
    ]
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for crop in crops:
        link(data / crop.path, out / crop.path)
    shutil.copy(data / OPTIONS, out / OPTIONS)
    write_manifest(out, crops)
    return out


def measure(checkpoint: Path, test: Path, out: Path) -> float:
    """Return 1 - AUROC of the test folder's videos."""
    from deepfake.evaluation.measures import auroc
    from deepfake.evaluation.run import evaluate
    from deepfake.evaluation.summary import judge

    scores = evaluate(checkpoint, [test], out=out)
    (rule,) = (one.rule for one in scores.judges.values())
    judged = judge(scores.videos, rule=rule)
    return 1 - auroc(judged.labels, judged.raw)


def errors_of(
    data: Path,
    test: Path,
    name: str,
    asked: Sequence[str],
    *,
    train: Train,
    measure: Measure = measure,
    by: str = "method",
    seeds: int = SEEDS,
) -> list[tuple[int, int, float]]:
    """Train and measure every run; return the number of domains, the seed and the error of each.

    Args:
        data: Folder of crops to train on.
        test: Folder of crops to measure on.
        name: Of the runs.
        asked: Options of `deepfake.train`.
        train: Its `main`.
        measure: From checkpoint, test folder and a folder to write in to an error.
        by: "method" or "dataset".
        seeds: 1 to this.
    """
    domains, found = domains_of(data, by), []
    for size in sizes(len(domains)):
        for seed in range(1, seeds + 1):
            run = RUNS / f"{name}-{size}" / f"seed{seed}"
            if not (run / "best.ckpt").is_file():
                first = (seed - 1) * max(1, len(domains) // seeds)
                chosen = [domains[(first + k) % len(domains)] for k in range(size)]
                folder = subset(data, chosen, RUNS / name / f"data-{size}-{seed}", by)
                own = ["--data.root", str(folder), "--seed_everything", str(seed)]
                train([*asked, *own, "--name", run.parent.name])
            found.append((size, seed, measure(run / "best.ckpt", test, run / "test")))
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Train, measure and fit; or fit alone."""
    parser = argparse.ArgumentParser(prog="python -m recipes.research.scaling")
    parser.add_argument("--data", type=Path, help="folder of crops to train on")
    parser.add_argument("--test", type=Path, help="folder of crops to measure on")
    parser.add_argument("--by", choices=("method", "dataset"), default="method")
    parser.add_argument("--name", default="scaling", help="of the runs")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--fit", type=Path, help="CSV of domains,error; nothing is trained")
    parser.add_argument("asked", nargs="*", help="after --: options of deepfake.train")
    given = parser.parse_args(argv)
    file = given.fit
    if file is None:
        if not given.data or not given.test:
            parser.error("--data and --test, or --fit, are needed")
        from deepfake import train

        rows = errors_of(given.data, given.test, given.name, given.asked, train=train.main,
                         by=given.by, seeds=given.seeds)  # fmt: skip
        file = RUNS / given.name / "errors.csv"
        with file.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([("domains", "seed", "error"), *rows])
    with file.open(encoding="utf-8", newline="") as stream:
        read = [(float(row["domains"]), float(row["error"])) for row in csv.DictReader(stream)]
    n, errors = zip(*read, strict=True)
    curve = fit(n, errors)
    print(curve)
    for size in (*sorted(set(n)), 2 * max(n)):
        seen = [e for k, e in read if k == size]
        mean = f"{np.mean(seen):.3f}" if seen else "not measured"
        print(f"  {size:g} domains: {mean}, by the curve {curve(size):.3f}")


if __name__ == "__main__":
    main()
