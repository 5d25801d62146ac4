"""The manifest as columns: what millions of crops cost is a few arrays, not objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from deepfake.data.shards.read import Shards
from preprocessing.crops.cropping import alignment
from preprocessing.crops.manifest import OPTIONS, read_options
from preprocessing.errors import ManifestError, VideoError
from preprocessing.types import Image, PreprocessOptions
from preprocessing.video.images import decode_image

UNLABELLED = -1


@dataclass(frozen=True, eq=False)
class FaceTable:
    """N crops, one entry of every column each.

    Worker processes share the arrays; a list of objects would be copied into each of them.

    Args:
        folder: Folder that the paths are relative to.
        path: Files of the crops, strings (N,).
        video: Number of the crop's video in `videos` (N,).
        track: Number of the track in its video (N,).
        time_s: Presentation time, in seconds (N,).
        label: 0 real, 1 fake, -1 unknown (N,).
        centre: Centre of the face box, in pixels of the full frame (N, 2).
        landmarks: Five or 68 points (N, 5 or 68, 2), as fractions of the crop's sides.
        source: Number in `videos` of the video that a fake was made from, -1 where unknown (N,).
        dataset: Number of the data set in `datasets` (N,).
        person: Number of the crop's set of identities, -1 where unknown (N,).
        videos: Keys of the videos, strings (V,).
        datasets: Names of the data sets.
        shards: Where the crops lie if not in files of their own.
        cues: What else is known of each crop, by name (N, D); NaN where it is not.
    """

    folder: Path
    path: pa.StringArray
    video: NDArray[np.int64]
    track: NDArray[np.int32]
    time_s: NDArray[np.float32]
    label: NDArray[np.int8]
    centre: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    source: NDArray[np.int64]
    dataset: NDArray[np.int32]
    person: NDArray[np.int64]
    videos: pa.StringArray
    datasets: tuple[str, ...]
    shards: Shards | None = None
    cues: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    @classmethod
    def from_manifest(cls, folder: Path, manifest: pa.Table) -> "FaceTable":
        """Return a manifest that lies in `folder`, as `read_table` gives it."""
        videos = manifest["video"].combine_chunks().dictionary_encode()
        datasets = manifest["dataset"].combine_chunks().dictionary_encode()
        people = pc.binary_join(manifest["identities"].combine_chunks(), "\0")
        person = pc.index_in(people, pc.unique(people)).to_numpy().astype(np.int64)
        known = pc.greater(pc.list_value_length(manifest["identities"].combine_chunks()), 0)
        source = pc.index_in(manifest["source"].combine_chunks(), videos.dictionary)
        corners = _matrix(manifest["box"], 2)
        regions = _matrix(manifest["crop_box"], 2)
        points = _matrix(manifest["landmarks"], 5)
        return cls(
            folder=folder,
            path=manifest["path"].combine_chunks(),
            video=videos.indices.to_numpy().astype(np.int64),
            track=manifest["track"].to_numpy().astype(np.int32),
            time_s=manifest["time_s"].to_numpy().astype(np.float32),
            label=manifest["label"].fill_null(UNLABELLED).to_numpy().astype(np.int8),
            centre=corners.mean(axis=1),
            landmarks=_placed(folder, points, regions),
            source=source.fill_null(-1).to_numpy().astype(np.int64),
            dataset=datasets.indices.to_numpy().astype(np.int32),
            person=np.where(known.to_numpy(zero_copy_only=False), person, -1),
            videos=videos.dictionary,
            datasets=tuple(datasets.dictionary.to_pylist()),
            shards=Shards.find(folder, manifest["path"].combine_chunks()),
        )

    def __len__(self) -> int:
        return len(self.video)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "FaceTable":
        """Return some of the crops; videos keep their numbers."""
        index = (np.flatnonzero(rows) if rows.dtype == np.bool_ else rows).astype(np.int64)
        names = ["video", "track", "time_s", "label", "centre", "landmarks", "source"]
        chosen = {name: getattr(self, name)[index] for name in [*names, "dataset", "person"]}
        shards = None if self.shards is None else self.shards.take(index)
        cues = {name: cue[index] for name, cue in self.cues.items()}
        path = self.path.take(pa.array(index))
        return replace(self, path=path, shards=shards, cues=cues, **chosen)

    def with_cues(self, names: Sequence[str]) -> "FaceTable":
        """Return the table with cues from `NAME.parquet` beside the manifest.

        Such a file has a column `path`, as in the manifest, and a column of its own name, with a
        number or a list of numbers, as many for every crop. A crop without a row gets NaN.

        Raises:
            ManifestError: A file is missing, or something else.
        """
        return replace(self, cues={name: self._cue(name) for name in names})

    def _cue(self, name: str) -> NDArray[np.float32]:
        file = self.folder / f"{name}.parquet"
        try:
            stored = pq.read_table(file, columns=["path", name])
            rows = pc.index_in(self.path, stored["path"].combine_chunks())
            values = np.array(stored[name].to_pylist(), dtype=np.float32)
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise ManifestError(
                f"{file} is no table of the cue {name!r}, with columns path and {name}: {reason}"
            ) from error
        values = values.reshape(len(values), -1)
        blank = np.full((1, values.shape[1]), np.nan, dtype=np.float32)
        places = rows.fill_null(len(values)).to_numpy()
        return np.asarray(np.concatenate([values, blank])[places], dtype=np.float32)

    def image(self, row: int) -> Image:
        """Read one crop (H, W, 3), RGB."""
        path = self.folder / self.path[row].as_py()
        try:
            return decode_image(path.read_bytes() if self.shards is None else self.shards.read(row))
        except (OSError, VideoError) as error:
            make = "python -m deepfake.preprocess` again; it makes only what is missing."
            if self.shards is not None:
                make = "python -m deepfake.data shard` again."
            raise ManifestError(f"The crop {path} is missing or damaged. Run `{make}") from error

    def points(self, row: int, image: Image) -> NDArray[np.float32]:
        """Return the landmarks of one crop (5 or 68, 2), in pixels of the crop."""
        size = np.array([image.shape[1], image.shape[0]], dtype=np.float32)
        return np.asarray(self.landmarks[row] * size, dtype=np.float32)


def _matrix(column: pa.ChunkedArray, points: int) -> NDArray[np.float32]:
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, dtype=np.float32).reshape(-1, points, 2)


def _placed(
    folder: Path, points: NDArray[np.float32], regions: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return landmarks (N, 5, 2) as fractions of their crops' sides, as the folder's are cut."""
    options = read_options(folder) if (folder / OPTIONS).is_file() else PreprocessOptions()
    if options.crop == "aligned":
        turns = [alignment(face, 1, options.margin) for face in points]
        placed = [face @ m[:, :2].T + m[:, 2] for face, m in zip(points, turns, strict=True)]
        return np.array(placed, dtype=np.float32).reshape(points.shape)
    sides = np.maximum(regions[:, 1] - regions[:, 0], 1)
    return np.asarray((points - regions[:, :1]) / sides[:, None], dtype=np.float32)
