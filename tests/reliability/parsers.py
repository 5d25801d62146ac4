"""Our parsers of files that anybody may have written, each as a function of bytes.

Each returns or raises a `DeepfakeError`; anything else is a bug.
"""

import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np

from deepfake.checkpoints.settings import Settings
from deepfake.data.sources.table import read_table as read_labels
from preprocessing.crops.manifest import (
    MANIFEST,
    OPTIONS,
    VideoRecord,
    read_failures,
    read_manifest,
    read_options,
    write_manifest,
)
from preprocessing.errors import DeepfakeError
from preprocessing.types import FaceCrop
from preprocessing.video import index_frames
from preprocessing.video.photographs import read_image
from tests.reliability.media import COMMON


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="parsers-"))
    (folder / "a.mp4").write_bytes(b"video")
    return folder


def _file(name: str, data: bytes) -> Path:
    path = _folder() / name
    path.write_bytes(data)
    return path


def record(data: bytes) -> None:
    """Read the JSON of a video and make its rows."""
    list(VideoRecord.from_json(data.decode("utf-8", "replace")).crops("crops/a"))


def manifest(data: bytes) -> None:
    """Read a Parquet file as a manifest."""
    _file(MANIFEST, data)
    read_manifest(_folder())


def options(data: bytes) -> None:
    """Read options.json."""
    _file(OPTIONS, data)
    read_options(_folder())


def failures(data: bytes) -> None:
    """Read failures.csv."""
    _file("failures.csv", data)
    read_failures(_folder())


def labels(data: bytes) -> None:
    """Read a CSV of labels."""
    read_labels(_file("labels.csv", data), _folder())


def settings(data: bytes) -> None:
    """Read the settings in a checkpoint or in a graph's metadata."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return
    Settings.from_dict(content, Path("a.ckpt"))


def video(data: bytes) -> None:
    """List the frames of a video."""
    index_frames(_file("b.mp4", data))


def photograph(data: bytes) -> None:
    """Read a photograph."""
    read_image(_file("b.png", data), max_pixels=1_000_000)


PARSERS: dict[str, Callable[[bytes], None]] = {
    parser.__name__: parser
    for parser in (record, manifest, options, failures, labels, settings, video, photograph)
}


def refuses_or_reads(parser: Callable[[bytes], None], data: bytes) -> None:
    """Run a parser; let through only what must not happen."""
    with suppress(DeepfakeError):
        parser(data)


@cache
def seeds() -> dict[str, bytes]:
    """Return a good input of each parser, from which fuzzing starts."""
    crop = FaceCrop(
        *("crops/a/b.png", "a", 0, 3, 0.12, (1.0, 2.0, 3.0, 4.0), 0.99),
        np.zeros((5, 2), np.float32),
        (0.0, 0.0, 9.0, 9.0),
    )
    write_manifest(_folder(), [crop])
    row = {
        "file": "track00_frame000003.png",
        "track": 0,
        "frame": 3,
        "time_s": 0.12,
        "box": [1.0, 2.0, 3.0, 4.0],
        "score": 0.99,
        "landmarks": [1.0] * 10,
        "crop_box": [0.0, 0.0, 9.0, 9.0],
    }
    info: dict[str, object] = dict.fromkeys(
        ("width", "height", "bit_rate", "file_bytes", "frames", "declared_frames"), 9
    )
    info |= {"fps": 25.0, "duration_s": 1.0, "codec": "h264", "pixel_format": "yuv420p"}
    about = {"path": "a.mp4", "name": "a", "label": 1, "identities": ["x"]}
    counts = dict.fromkeys(("wanted", "read", "corrupt", "errors"), 1)
    whole = {"key": "a", "video": about, "info": info, **counts}
    checkpoint = {
        "version": 1,
        "recipe": {"image_size": 224},
        "preprocess": {"frames": 32},
        "calibration": None,
        "network": {"class_path": "deepfake.models.mesonet.Meso4", "init_args": {}},
    }
    return {
        "record": json.dumps({**whole, "rejected": {}, "faces": [row], "version": 1}).encode(),
        "manifest": (_folder() / MANIFEST).read_bytes(),
        "options": json.dumps({"frames": 32, "thresholds": [0.6, 0.7, 0.7]}).encode(),
        "failures": b"video,stage,reason\na,decode,bad\n",
        "labels": b"path,label,identity,split\na.mp4,fake,x;y,train\n",
        "settings": json.dumps(checkpoint).encode(),
        "video": COMMON["mpeg4.mov"](),
        "photograph": COMMON["photograph.png"](),
    }
