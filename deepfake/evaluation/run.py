"""From checkpoints and folders of crops to scores: what `python -m deepfake.evaluate` runs.

>>> from deepfake.evaluation.run import evaluate
>>> scores = evaluate([Path("best.ckpt")], [Path("data/faces")])  # doctest: +SKIP
"""

import logging
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from deepfake import __version__
from deepfake.checkpoints import loading
from deepfake.checkpoints.loading import DEFAULT, WEIGHTS, Checkpoint
from deepfake.cli.console import progress_bar
from deepfake.data.protocols import find_protocol
from deepfake.data.shards.read import read_records
from deepfake.data.splits.assign import SPLITS, read_splits
from deepfake.data.splits.crop_hashes import KNOWN, crop_hashes, read_known
from deepfake.data.splits.duplicates import near_duplicates
from deepfake.data.splits.leaks import sample_rows
from deepfake.errors import DeepfakeError, VideoError
from deepfake.evaluation.cache import ScoreCache
from deepfake.evaluation.embedding import EMBEDDING, embed
from deepfake.evaluation.faces import Folder, check_options, group_names, of_protocol, read_folders
from deepfake.evaluation.robustness import score_damaged
from deepfake.evaluation.scores import Judge, Scores, read_scores, score_table, write_scores
from deepfake.evaluation.workers import score_folder
from preprocessing.crops.manifest import read_table, rows_of
from preprocessing.types import FaceCrop, Split

logger = logging.getLogger(__name__)

SCORES = "scores.parquet"
RUNS = Path("runs")
DEFAULT_OUT = RUNS / "evaluation"


def evaluate(
    checkpoint: Path | Sequence[Path | None] | None,
    folders: Sequence[Path],
    *,
    out: Path = DEFAULT_OUT,
    split: Split | None = None,
    protocol: str | None = None,
    robustness: bool = False,
    device: str = "cpu",
    workers: int = 1,
) -> Scores:
    """Score every face of folders made by preprocess, write `scores.parquet` and read it.

    Crops that a checkpoint has scored before are not scored again.

    Args:
        checkpoint: One or several; None is the latest run, else the shipped model.
        folders: Folders of crops.
        out: Folder of the scores and of the map of features.
        split: Only these videos.
        protocol: Only the videos of this list, see `deepfake.data.protocols`.
        robustness: Damage the videos, too.
        device: Such as "cuda".
        workers: Processes that score many crops on the CPU.

    Raises:
        DeepfakeError: A checkpoint or folder cannot be read, or nothing is left to score.
    """
    given = [checkpoint] if checkpoint is None or isinstance(checkpoint, Path) else checkpoint
    measured = read_folders(folders)
    if protocol is not None:
        measured = of_protocol(measured, find_protocol(protocol), split)
        split = None  # its sides, not the run's
    tables: list[pa.Table] = []
    judges: dict[str, Judge] = {}
    embedded: list[pa.Table] = []
    failures = 0
    for name, one in _load(given, device).items():
        known = one.calibration.reals or one.calibration.method != "none"
        fitted = one.calibration if known else None
        judges[name] = Judge(fitted, one.aggregation, one.sha256)
        chosen = _of_split(measured, split, name, one)
        groups = group_names(crop for folder in chosen for crop in folder.firsts())
        tables += _score(name, one, chosen, groups, workers)
        if robustness:
            damaged, failed = _damage(name, one, chosen, groups)
            tables += damaged
            failures += failed
        embedded.append(embed(name, one, chosen))
        # Each time, so that no finished one is lost.
        write_scores(out / SCORES, pa.concat_tables(tables), judges)
        pq.write_table(pa.concat_tables(embedded), out / EMBEDDING, compression="zstd")
    return replace(read_scores(out / SCORES), failures=failures)


def _of_split(
    folders: Sequence[Folder], split: Split | None, name: str, checkpoint: Checkpoint
) -> list[Folder]:
    """Return the crops of one side, each with the side that the checkpoint's run saw it on."""
    file = Path(checkpoint.name)
    drawn = read_splits(file.with_name(SPLITS)) if file.is_file() else {}
    if split is None:
        _warn_of_training(folders, drawn, name)

    def sided(crop: FaceCrop) -> FaceCrop | None:
        if crop.split in (None, "train") and crop.video in drawn:
            crop = replace(crop, split=drawn[crop.video])
        return crop if split in (None, crop.split) else None

    chosen = [folder.each(sided) for folder in folders]
    if not any(len(crops) for _, crops, _ in chosen):
        names = ", ".join(str(folder) for folder, _, _ in folders)
        which = f" of split {split}" if split else ""
        raise DeepfakeError(f"No face{which} in {names}. Give other --data or no --split.")
    if split != "train":
        _warn_of_copies(chosen, name, file, {key for key, side in drawn.items() if side == "train"})
    return chosen


def _warn_of_training(folders: Sequence[Folder], drawn: Mapping[str, Split], name: str) -> None:
    """Say in a line how many of the videos the checkpoint was trained with."""
    videos = {key for _, crops, _ in folders for key in crops["video"].unique().to_pylist()}
    sides = Counter(drawn.get(key) for key in videos)
    if sides["train"] or sides["val"]:
        logger.warning(
            "%s was trained on %d and chosen on %d of the %d videos measured, so its figures are "
            "too good; --split test measures the others.",
            name,
            sides["train"],
            sides["val"],
            len(videos),
        )


def _warn_of_copies(
    folders: Sequence[Folder], name: str, file: Path, told: Collection[str]
) -> None:
    """Say which videos look like some that the checkpoint was trained with, under other names."""
    known = read_known(WEIGHTS / KNOWN if file == Path(DEFAULT) else file.with_name(KNOWN))
    for folder, crops, _ in folders if known else ():
        measured = set(crops["video"].unique().to_pylist()).difference(told)
        hashes = crop_hashes(sample_rows(read_table(folder)), folder)
        alike = {key for pair in near_duplicates(hashes, known) for key in pair[:2]}
        copies = sorted(alike & measured)
        if copies:
            logger.warning(
                "%s was trained on footage of %d of the %d videos in %s, such as %s; its figures "
                "there are too good. Leave them out.",
                name,
                len(copies),
                len(measured),
                folder,
                copies[0],
            )


def _load(paths: Sequence[Path | None], device: str) -> dict[str, Checkpoint]:
    """Load checkpoints under short names: "folder/file", "name/seed1/file" of a run with seeds."""
    found: dict[str, Checkpoint] = {}
    for path in paths:
        checkpoint = loading.load(path, device=device)
        file = Path(checkpoint.name)
        folder = file.resolve().parent if file.parent.name == "latest" else file.parent
        above = folder.parent.name if re.fullmatch(r"seed\d+", folder.name) else ""
        parts = (above if above != RUNS.name else "", folder.name, file.stem)
        name = short = "/".join(part for part in parts if part)
        number = 1
        while name in found:
            number += 1
            name = f"{short} {number}"
        found[name] = checkpoint
    return found


def _score(
    name: str, checkpoint: Checkpoint, folders: Sequence[Folder], groups: Mapping[str, str],
    workers: int,
) -> Iterator[pa.Table]:  # fmt: skip
    """Yield the rows of each folder, those of videos without a face first."""
    with progress_bar() as bar:
        total = sum(len(crops) for _, crops, _ in folders)
        task = bar.add_task(f"{name}: faces", total=total, rate="")
        for folder, crops, empty in folders:
            check_options(folder, checkpoint.preprocess, name)
            cache = ScoreCache(folder, f"{checkpoint.sha256} {checkpoint.recipe} {__version__}")
            unknown = cache.unknown(crops)
            bar.advance(task, len(crops) - len(unknown))
            found: list[pa.Table] = []
            try:
                with closing(score_folder(checkpoint, folder, unknown, workers)) as parts:
                    for part in parts:
                        found.append(part)
                        bar.advance(task, len(part))
            finally:  # so that an end before the end loses nothing
                cache.add(found)
            yield score_table(empty, None, checkpoint=name, groups=groups)
            yield score_table(crops, cache.looks(crops), checkpoint=name, groups=groups)


def _damage(
    name: str, checkpoint: Checkpoint, folders: Sequence[Folder], groups: dict[str, str]
) -> tuple[list[pa.Table], int]:
    rows: list[pa.Table] = []
    failed = 0
    with progress_bar() as bar:
        for folder, crops, _ in folders:
            wanted = set(crops["video"].unique().to_pylist())
            records = [one for one in read_records(folder) if one.key in wanted]
            for record in bar.track(records, description=f"{name}: damage"):
                faces = list(rows_of(crops.filter(pc.equal(crops["video"], record.key))))
                try:
                    rows.append(
                        score_damaged(checkpoint, name, record, faces, groups[record.key], folder)
                    )
                except VideoError as error:
                    logger.warning("%s is left out of robustness: %s", record.key, error)
                    failed += 1
    return rows, failed
