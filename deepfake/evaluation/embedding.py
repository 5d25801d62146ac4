"""A map of the features of faces in two dimensions, kept beside the scores."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from deepfake.checkpoints.loading import Checkpoint
from deepfake.checkpoints.scorers import Looking
from deepfake.evaluation.faces import Folder, image_reader, tracks_of
from deepfake.evaluation.scores import ScoresError
from deepfake.inference.faces import batches
from preprocessing.crops.manifest import rows_of
from preprocessing.types import FaceCrop, Image

EMBEDDING = "embedding.parquet"
MOST = 2000  # faces; t-SNE takes seconds for so many
FEWEST = 10
PRINCIPAL = 50  # components that t-SNE sees, as its authors advise
PERPLEXITY = 30.0

SCHEMA = pa.schema(  # a row for each face, or clip of a temporal network
    [
        pa.field("checkpoint", pa.string(), nullable=False),
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("video", pa.string(), nullable=False),
        pa.field("label", pa.int8()),
        pa.field("x", pa.float64(), nullable=False),
        pa.field("y", pa.float64(), nullable=False),
    ]
)
Floats = NDArray[np.float32]


def embed(
    name: str, checkpoint: Checkpoint, folders: Sequence[Folder], *, seed: int = 0
) -> pa.Table:
    """Return the map of at most 2,000 crops, see `SCHEMA`; no row where there are too few for one.

    Args:
        name: What the checkpoint is called.
        checkpoint: Gives the features; one that gives none has no map.
        folders: Crops, sorted by video, track and frame.
        seed: Chooses the crops; same seed, same map.
    """
    scorer = checkpoint.scorer
    if not isinstance(scorer, Looking):
        return SCHEMA.empty_table()
    starts = np.cumsum([0, *(len(folder.crops) for folder in folders)])
    chosen = np.sort(np.random.default_rng(seed).permutation(starts[-1])[:MOST])
    faces: list[FaceCrop] = []
    readers: dict[int, Callable[[FaceCrop], Image]] = {}
    for start, (path, crops, _) in zip(starts, folders, strict=False):
        inside = chosen[(chosen >= start) & (chosen < start + len(crops))] - start
        some = crops.take(pa.array(inside))
        faces += rows_of(some)
        read = image_reader(path, some["path"].to_pylist())
        readers |= {id(face): read for face in faces[len(readers) :]}
    firsts: list[FaceCrop] = []
    found: list[Floats] = []
    for batch in batches(
        tracks_of(faces),
        lambda crop: readers[id(crop)](crop),
        checkpoint.recipe,
        checkpoint.frames,
    ):
        _, features = scorer.look(batch.inputs)
        if features is None:
            return SCHEMA.empty_table()
        found.append(features)
        firsts += [clip[0] for clip in batch.clips]
    if len(firsts) < FEWEST:
        return SCHEMA.empty_table()
    about = ([getattr(crop, of) for crop in firsts] for of in ("dataset", "video", "label"))
    columns = [[name] * len(firsts), *about, *tsne(np.concatenate(found), seed=seed).T]
    return pa.table([pa.array(column) for column in columns], names=SCHEMA.names).cast(SCHEMA)


def tsne(features: Floats, *, seed: int = 0) -> NDArray[np.float64]:
    """Return a map (N, 2) on which features (N, D) that are alike lie close.

    Van der Maaten and Hinton, JMLR 9, 2008.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    wide = np.nan_to_num(np.asarray(features, dtype=np.float64))
    wide = wide / max(float(wide.std()), 1e-12)
    if min(wide.shape) > PRINCIPAL:
        wide = PCA(PRINCIPAL, random_state=seed).fit_transform(wide)
    perplexity = min(PERPLEXITY, (len(wide) - 1) / 3)
    learned = TSNE(perplexity=perplexity, init="random", random_state=seed).fit_transform(wide)
    return np.asarray(learned, dtype=np.float64)


def read_embedding(path: Path) -> pa.Table:
    """Read the maps beside scores; no row where there is no file.

    Raises:
        ScoresError: It is something else.
    """
    if not path.is_file():
        return SCHEMA.empty_table()
    try:
        return pq.read_table(path, memory_map=False).select(SCHEMA.names).cast(SCHEMA)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise ScoresError(f"{path} is not a map of features: {reason}. Remove it.") from error
