"""A map of the features of faces in two dimensions, kept beside the scores."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
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
from preprocessing.types import FaceCrop, Image, Label

EMBEDDING = "embedding.parquet"
MOST = 2000  # faces; t-SNE takes seconds for so many
FEWEST = 10
PRINCIPAL = 50  # components that t-SNE sees, as its authors advise
PERPLEXITY = 30.0

SCHEMA = pa.schema(
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


@dataclass(frozen=True)
class EmbeddedFace:
    """A face, or a clip of a temporal network, at its place (x, y) on the map."""

    checkpoint: str
    dataset: str
    video: str
    label: Label | None
    x: float
    y: float


def embed(
    name: str, checkpoint: Checkpoint, folders: Sequence[Folder], *, seed: int = 0
) -> list[EmbeddedFace]:
    """Return the map of at most 2,000 crops; nothing where there are too few for one.

    Args:
        name: What the checkpoint is called.
        checkpoint: Gives the features; one that gives none has no map.
        folders: Crops, sorted by video, track and frame.
        seed: Chooses the crops; same seed, same map.
    """
    scorer = checkpoint.scorer
    if not isinstance(scorer, Looking):
        return []
    every = [crop for folder in folders for crop in folder.crops]
    readers: dict[int, Callable[[FaceCrop], Image]] = {}
    for folder, crops, _ in folders:
        readers |= dict.fromkeys(map(id, crops), image_reader(folder, crops))
    chosen = np.sort(np.random.default_rng(seed).permutation(len(every))[:MOST])
    firsts: list[FaceCrop] = []
    found: list[Floats] = []
    for batch in batches(
        tracks_of(every[k] for k in chosen),
        lambda crop: readers[id(crop)](crop),
        checkpoint.recipe,
        checkpoint.frames,
    ):
        _, features = scorer.look(batch.inputs)
        if features is None:
            return []
        found.append(features)
        firsts += [clip[0] for clip in batch.clips]
    if len(firsts) < FEWEST:
        return []
    places = tsne(np.concatenate(found), seed=seed)
    return [
        EmbeddedFace(name, crop.dataset, crop.video, crop.label, float(x), float(y))
        for crop, (x, y) in zip(firsts, places, strict=True)
    ]


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


def write_embedding(path: Path, faces: Iterable[EmbeddedFace]) -> None:
    """Write the maps of all checkpoints."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([asdict(face) for face in faces], schema=SCHEMA)
    pq.write_table(table, path, compression="zstd")


def read_embedding(path: Path) -> list[EmbeddedFace]:
    """Read what `write_embedding` wrote; nothing where there is no file.

    Raises:
        ScoresError: It is something else.
    """
    if not path.is_file():
        return []
    try:
        table = pq.read_table(path, memory_map=False).select(SCHEMA.names).cast(SCHEMA)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise ScoresError(f"{path} is not a map of features: {reason}. Remove it.") from error
    return [EmbeddedFace(**row) for row in table.to_pylist()]
