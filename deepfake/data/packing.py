"""Folders of face images, as WildDeepfake has them, written as one lossless video each."""

import logging
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from deepfake.errors import SourceError
from preprocessing.types import Image
from preprocessing.video.files import IMAGE_SUFFIXES, walk

logger = logging.getLogger(__name__)


def pack_images(root: Path, *, fps: int = 25) -> list[Path]:
    """Write `a/b/*.png` as the lossless video `a/b.mkv`, for every folder of images below.

    A video that is already there is left as it is. Images of one folder that differ in size are
    put on black of the largest size.

    Args:
        root: Folder to look below.
        fps: Frames per second to give the videos.

    Returns:
        The videos, those that were there too.

    Raises:
        SourceError: There is no image below.
    """
    folders: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in walk(root):
        if path.suffix.lower() in IMAGE_SUFFIXES and path.parent != root:
            folders[path.parent].append(path)
    if not folders:
        raise SourceError(f"No folders of images below {root}. Unpack its archives first.")
    videos = []
    for folder, images in sorted(folders.items()):
        target = folder.with_name(f"{folder.name}.mkv")
        if not target.exists():
            temporary = target.with_name(f".{target.name}")  # complete or not there
            _write(temporary, sorted(images, key=_number), fps)
            temporary.rename(target)
        videos.append(target)
    return videos


def _number(path: Path) -> tuple[int, str]:
    """Sort 2.png before 10.png."""
    return (int(path.stem) if path.stem.isdecimal() else -1, path.stem)


def _write(target: Path, paths: list[Path], fps: int) -> None:
    images = [image for path in paths if (image := _read(path)) is not None]
    if not images:
        raise SourceError(f"No image in {paths[0].parent} can be read. Unpack its archive again.")
    height = max(image.shape[0] for image in images)
    width = max(image.shape[1] for image in images)
    with av.open(str(target), "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=Fraction(fps))
        stream.width, stream.height, stream.pix_fmt = width, height, "bgr0"
        for image in images:
            canvas = np.zeros((height, width, 3), dtype=np.uint8)
            canvas[: image.shape[0], : image.shape[1]] = image
            container.mux(stream.encode(av.VideoFrame.from_ndarray(canvas, format="bgr24")))
        container.mux(stream.encode())


def _read(path: Path) -> Image | None:
    """Return an image (H, W, 3), BGR; None where it is damaged."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        logger.warning("%s cannot be read and is left out", path)
        return None
    return np.asarray(image, dtype=np.uint8)
