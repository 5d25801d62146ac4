"""A corpus of hostile files, the same for the same seed.

python -m tests.reliability.corpus FOLDER [--count 2000] [--seed 0]
"""

import argparse
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from tests.reliability.attacks import MUTATIONS, WRONG, Rng, splice
from tests.reliability.media import COMMON, ODD

SUFFIXES = (".mp4", ".mkv", ".avi", ".webm", ".gif", ".png", ".jpg", ".webp", ".tiff", ".mpg")
NAMES = (
    "-rf.mp4",
    "new\nline.mp4",
    "\x1b[31mred.mp4",
    "<img src=x onerror=alert(1)>.mp4",
    "%03d.png",
    "concat:a|b.mp4",
    "http:x.mp4",
    "über 映画.mp4",
    "a" * 200 + ".mp4",
    "\udcff\udcfe.mp4",  # bytes that are no UTF-8
)


@cache
def _made(name: str, make: Callable[[], bytes]) -> bytes:
    return make()


def write_corpus(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Write `count` files into a folder; return them.

    First come the whole files (usual, unusual, wrong, oddly named), as many as fit into a third;
    the others are mutations of the usual ones. The name tells how a file was made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    whole = [(name, make) for kinds in (COMMON, ODD, WRONG) for name, make in kinds.items()]
    if len(whole) > count // 3:
        picked = sorted(rng.choice(len(whole), count // 3, replace=False))
        whole = [whole[k] for k in picked]
    files = [_write(folder / f"whole_{name}", _made(name, make)) for name, make in whole]
    sample = _made("h264.mp4", COMMON["h264.mp4"])
    files += [_write(folder / name, sample) for name in NAMES[: max(0, count - len(files))]]
    while len(files) < count:
        name, data = _mutated(len(files), rng)
        files.append(_write(folder / name, data))
    return files


def _mutated(number: int, rng: Rng) -> tuple[str, bytes]:
    names = list(COMMON)
    base = names[int(rng.integers(len(names)))]
    data = _made(base, COMMON[base])
    stem, suffix = base.split(".")
    kind = int(rng.integers(len(MUTATIONS) + 2))
    if kind == len(MUTATIONS):
        other = names[int(rng.integers(len(names)))]
        how, data = "splice", splice(data, _made(other, COMMON[other]), rng)
    elif kind == len(MUTATIONS) + 1:
        how, suffix = "renamed", SUFFIXES[int(rng.integers(len(SUFFIXES)))][1:]
    else:
        how, data = MUTATIONS[kind].__name__, MUTATIONS[kind](data, rng)
        if rng.random() < 0.2:
            second = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
            how, data = f"{how}_{second.__name__}", second(data, rng) if data else data
    return f"{number:05}_{how}_{stem}.{suffix}", data


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def main() -> None:
    """Write a corpus and say what is in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    files = write_corpus(given.folder, given.count, given.seed)
    kinds = Counter(path.suffix for path in files)
    size = sum(path.stat().st_size for path in files) / 2**20
    print(f"{len(files)} files, {size:.0f} MiB in {given.folder}: {dict(kinds.most_common())}")


if __name__ == "__main__":
    main()
