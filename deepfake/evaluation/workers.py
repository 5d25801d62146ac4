"""Many crops scored on the CPU: by ONNX Runtime instead of torch, in a process on every core."""

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pyarrow as pa

from deepfake.checkpoints.loading import Checkpoint
from deepfake.checkpoints.scorers import GraphScorer, OnnxScorer, TorchScorer
from deepfake.errors import DeepfakeError
from deepfake.evaluation.cache import SCHEMA
from deepfake.evaluation.faces import BATCH, image_reader, score_crops, tracks_of
from deepfake.inference.faces import batches
from preprocessing.crops.manifest import rows_of
from preprocessing.types import FaceCrop, Image
from preprocessing.workers.local import run_local

logger = logging.getLogger(__name__)

MANY = 2000  # crops from which on a graph, which takes seconds to make, and processes pay
PART = 500  # crops that a process takes at once
LARGEST = 100_000_000  # weights: each process holds those of a graph once more
AGREEMENT = 1e-4  # of logits
DAY_S = 86400.0  # a crop does not take long, but a part may with a large network


def score_folder(
    checkpoint: Checkpoint, folder: Path, crops: pa.Table, workers: int
) -> Generator[pa.Table, None, None]:
    """Yield what is found of some crops after others, in any order, as the cache keeps it.

    Args:
        checkpoint: Judges.
        folder: Of the crops.
        crops: Rows of its manifest, sorted by video, track and frame.
        workers: Processes at most; few crops, and those that torch scores, take none.

    Raises:
        DeepfakeError: A crop cannot be read, or a worker died.
    """
    with _quicker(checkpoint, folder, crops) as judge:
        if len(crops) < MANY or workers < 2 or not isinstance(judge.scorer, GraphScorer):
            read = image_reader(folder, crops["path"].to_pylist())
            for part in _whole_videos(crops, PART // 10):
                yield _scored(judge, part, read)
            return
        judge = replace(judge, scorer=replace(judge.scorer, threads=1))  # with nothing loaded
        work, parts = partial(score_part, judge, folder), _whole_videos(crops, PART)
        run = run_local(work, parts, workers=workers, timeout_s=DAY_S, memory_bytes=None)
        with closing(run) as outcomes:
            for outcome in outcomes:
                if outcome.result is None:
                    raise DeepfakeError(f"{folder} was not scored to the end: {outcome.reason}")
                yield outcome.result


def score_part(checkpoint: Checkpoint, folder: Path, crops: pa.Table) -> pa.Table:
    """Return what `score_folder` yields of a part; runs in a worker process."""
    cv2.setNumThreads(1)
    return _scored(checkpoint, crops, image_reader(folder, crops["path"].to_pylist()))


def _scored(judge: Checkpoint, crops: pa.Table, read: Callable[[FaceCrop], Image]) -> pa.Table:
    found = {crop.path: looks for crop, looks in score_crops(judge, rows_of(crops), read)}
    return pa.table([list(found), *np.array(list(found.values())).T], schema=SCHEMA)


def _whole_videos(crops: pa.Table, least: int) -> Iterator[pa.Table]:
    """Yield the rows of some videos after others, so many or more but for the last."""
    codes = crops["video"].combine_chunks().dictionary_encode().indices.to_numpy()
    first = 0
    for end in [*(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]:
        if end - first >= least or first < end == len(codes):
            yield crops.take(pa.array(range(first, end)))  # a slice takes all rows along
            first = end


@contextmanager
def _quicker(checkpoint: Checkpoint, folder: Path, crops: pa.Table) -> Iterator[Checkpoint]:
    """Give what judges many crops as torch on the CPU, but by ONNX Runtime.

    Where a graph cannot be made, or a logit of the first crops differs by more than 1e-4, it is
    the checkpoint itself, and a line says so.
    """
    torch = checkpoint.scorer
    if len(crops) < MANY or not isinstance(torch, TorchScorer) or torch.device != "cpu":
        yield checkpoint
        return
    some = list(rows_of(crops.slice(0, BATCH * checkpoint.frames)))
    read = image_reader(folder, [crop.path for crop in some])
    first = next(batches(tracks_of(some), read, checkpoint.recipe, checkpoint.frames, BATCH))
    with TemporaryDirectory(prefix="deepfake-") as name:
        try:
            from deepfake.checkpoints.export import to_onnx

            if sum(weight.numel() for weight in torch.network.parameters()) > LARGEST:
                raise DeepfakeError("the network is too large to be held by each process")
            file = Path(name) / "network.onnx"
            graph = to_onnx(torch.network, replace(checkpoint, gauge=None))
            file.write_bytes(graph.SerializeToString())
            scorer = OnnxScorer(file)
            off = float(np.abs(scorer.outputs(first.inputs)[0] - torch.logits(first.inputs)).max())
            if not off <= AGREEMENT:
                raise DeepfakeError(f"a logit of the graph is off by {off:.2g}")
            checkpoint = replace(checkpoint, scorer=scorer)
        except Exception as error:  # noqa: BLE001  torch's exporters raise what they like
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            logger.warning("torch scores %s, not ONNX Runtime: %s", folder, reason)
        yield checkpoint
