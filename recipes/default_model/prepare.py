"""The faces that the default model learns from: `python -m recipes.default_model.prepare`.

Reads what `../shared/data/train` holds and what the scripts of `../shared/data/more` rebuild. Faces
are found by the project's MTCNN; 68 landmarks and, for DFDC, embeddings of the person come from the
extra "landmarks". Each part is a store of its own, so that a part can be made again alone.
"""

import argparse
import csv
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from deepfake.data.landmarks import _predictor
from preprocessing.faces.mtcnn import MTCNN
from preprocessing.people.dlib_models import RECOGNITION, dlib_model
from preprocessing.types import Detection, Image
from recipes.default_model.store import REACH, SIDE, StoredFace, StoreWriter

logger = logging.getLogger(__name__)

LONGEST = 1280  # pictures are searched at up to this size, in pixels
LEAST_FACE = 56  # smaller ones are left out, in pixels
BORDER = 0.4  # added around tight crops before the face is searched for, as a fraction of the side
PAIR_FRAMES, VIDEO_FRAMES = 24, 32
DFDC_LEAST, DFDC_REALS = 110, 6500  # of 224 px crops; an embedding costs 0.1 CPU seconds
PARTS = ("photographs", "faces", "videos", "pairs", "dfdc")


@dataclass(frozen=True, eq=False)
class Found:
    """A face in a picture, with what is needed to store it."""

    box: NDArray[np.float32]
    points: NDArray[np.float32]
    five: NDArray[np.float32]


class Finder:
    """Finds the largest face of a picture and its 68 landmarks.

    Args:
        least: Smallest face, in pixels.
    """

    def __init__(self, least: int = LEAST_FACE) -> None:
        self.least = least
        self._dense = _predictor()

    @cached_property
    def _mtcnn(self) -> MTCNN:
        return MTCNN(min_face_size=self.least)

    @cached_property
    def _person(self) -> Any:  # noqa: ANN401
        import dlib

        return dlib.face_recognition_model_v1(str(dlib_model(RECOGNITION)))

    def __call__(self, image: Image) -> Found | None:
        """Return the largest sure face, None where there is none."""
        faces = [d for d in self._mtcnn.detect([image])[0] if d.score >= 0.95]
        faces = [d for d in faces if _longer(d) >= self.least]
        if not faces:
            return None
        best = max(faces, key=_longer)
        five = best.landmarks.astype(np.float32)
        return Found(np.array(best.box, np.float32), self._dense(image, five), five)

    def embedding(self, image: Image, found: Found) -> NDArray[np.float32]:
        """Return what tells people apart (128,)."""
        import dlib

        parts = [dlib.point(*(int(v) for v in point.round())) for point in found.points]
        low, high = found.points.min(0), found.points.max(0)
        box = dlib.rectangle(*(int(v) for v in (*low, *high)))
        shape = dlib.full_object_detection(box, parts)
        return np.array(self._person.compute_face_descriptor(image, shape), dtype=np.float32)


def stored(image: Image, found: Found, facts: dict[str, object]) -> StoredFace:
    """Cut the region around a face, inside the picture, shrunk where it is large."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = found.box
    side = float(max(x1 - x0, y1 - y0))
    half, centre = side * (0.5 + REACH), ((x0 + x1) / 2, (y0 + y1) / 2)
    left, top = (max(0, int(c - half)) for c in centre)
    right, bottom = min(width, int(centre[0] + half)), min(height, int(centre[1] + half))
    region = image[top:bottom, left:right]
    scale = min(1.0, SIDE / side)
    if scale < 1:
        size = (max(2, round(region.shape[1] * scale)), max(2, round(region.shape[0] * scale)))
        region = np.asarray(cv2.resize(region, size, interpolation=cv2.INTER_AREA), np.uint8)
    start = np.array([left, top], np.float32)
    box = (found.box.reshape(2, 2) - start).ravel() * np.float32(scale)
    points = (found.points - start) * np.float32(scale)
    return StoredFace(region, box, points, {"face_px": side, **facts})


def read_picture(path: Path) -> tuple[Image, float] | None:
    """Return a picture (H, W, 3), RGB, upright, and by how much it was shrunk."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        return None
    scale = min(1.0, LONGEST / max(image.shape[:2]))
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8), scale


def photographs(more: Path) -> Iterator[tuple[Path, dict[str, object]]]:
    """Yield the rebuilt real photographs with their facts."""
    for row in _rows(more / "real" / "index.csv"):
        if row["kind"] != "photo":
            continue
        group = f"{row['dataset']}:{row['split_group'] or row['identity'] or row['file']}"
        facts = {"domain": row["dataset"], "name": row["file"], "label": 0}
        yield more / "real" / row["file"], {**facts, "group": group, "video": row["file"]}


def faces(train: Path) -> Iterator[tuple[Path, dict[str, object]]]:
    """Yield the real faces of the training material with their facts."""
    for row in _rows(train / "faces" / "index.csv"):
        group = f"{row['source']}:{row['identity']}"
        facts = {"domain": row["source"], "name": row["path"], "label": 0, "split": row["split"]}
        yield train / "faces" / row["path"], {**facts, "group": group, "video": row["path"]}


def add_pictures(
    writer: StoreWriter, pictures: Iterator[tuple[Path, dict[str, object]]], finder: Finder
) -> None:
    """Store the face of each picture; a tight one is searched with its border repeated."""
    for path, facts in pictures:
        read = read_picture(path)
        if read is None:
            logger.warning("%s cannot be read", path)
            continue
        found = finder(read[0]) or _in_border(read[0], finder)
        if found is not None:
            face = stored(read[0], found, facts)
            face.facts["face_px"] = float(face.facts["face_px"]) / read[1]  # type: ignore[arg-type]
            writer.add(face)


def _in_border(image: Image, finder: Finder) -> Found | None:
    """Find a face that fills its picture."""
    border = round(BORDER * max(image.shape[:2]))
    wide = cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REPLICATE)
    found = finder(np.asarray(wide, dtype=np.uint8))
    if found is None:
        return None
    shift = np.float32(border)
    return Found(found.box - shift, found.points - shift, found.five - shift)


def frames(path: Path, count: int) -> list[tuple[int, Image]]:
    """Return frames spread over a video, with their numbers."""
    with av.open(str(path)) as container:
        total = sum(1 for _ in container.decode(video=0))
    wanted = set(np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist())
    with av.open(str(path)) as container:
        return [
            (number, np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8))
            for number, frame in enumerate(container.decode(video=0))
            if number in wanted
        ]


def add_videos(writer: StoreWriter, train: Path, more: Path, finder: Finder) -> None:
    """Store faces of unmanipulated videos."""
    listed = [
        (train / "real_videos" / r["path"], r["dataset"], f"person {r['person_group']}", r["split"])
        for r in _rows(train / "real_videos" / "index.csv")
    ]
    listed += [
        (more / "clips" / r["out"], r["source"], r["person"] or r["out"], "train")
        for r in _rows(more / "devval.csv")
        if r["use"] == "train" and r["kind"] == "real"
    ]
    for path, domain, group, split in listed:
        if not path.is_file():
            logger.warning("%s is missing", path)
            continue
        for number, image in frames(path, VIDEO_FRAMES):
            if (found := finder(image)) is not None:
                facts = {"domain": f"video:{domain}", "name": f"{path.name}#{number}", "label": 0}
                facts |= {"group": group, "video": path.name, "split": split}
                writer.add(stored(image, found, facts))


def add_pairs(writer: StoreWriter, train: Path, finder: Finder) -> None:
    """Store frames of DeepFaceLive's clips, the fake cut exactly where its original is."""
    folder = train / "deepfacelive_pairs"
    rows = [row for row in _rows(folder / "pairs.csv") if row["label"] == "real"]
    for row in rows:
        real = frames(folder / row["path"], PAIR_FRAMES)
        fake = dict(frames(folder / row["path"].replace("real/", "fake/"), PAIR_FRAMES))
        for number, image in real:
            found = finder(image)
            if found is None or number not in fake or fake[number].shape != image.shape:
                continue
            name = f"{row['pair']}#{number}"
            facts = {"domain": "DeepFaceLive", "group": f"person {row['person_group']}"}
            facts |= {"video": row["pair"], "split": row["split"]}
            writer.add(stored(image, found, {**facts, "name": f"real/{name}", "label": 0}))
            fact = {**facts, "name": f"fake/{name}", "label": 1, "original": f"real/{name}"}
            writer.add(stored(fake[number], found, fact))


def add_dfdc(writer: StoreWriter, more: Path, finder: Finder) -> None:
    """Store DFDC's real crops; fakes are read from their own files, at their original's place."""
    rows = [row for row in _rows(more / "dfdc" / "index.csv") if row["label"] == "real"]
    rows = [row for row in rows if int(row["box_width"]) >= DFDC_LEAST]
    order = np.random.default_rng(0).permutation(len(rows))[:DFDC_REALS]
    for row in (rows[i] for i in order):
        read = read_picture(more / "dfdc" / f"{row['name']}.jpg")
        found = None if read is None else _in_border(read[0], finder)
        if read is None or found is None:
            continue
        facts: dict[str, object] = {"domain": "DFDC", "name": row["name"], "label": 0}
        facts.update(group=row["name"], video=row["name"], face_px=float(row["box_width"]))
        person = finder.embedding(read[0], found)
        writer.add(StoredFace(read[0], found.box, found.points, facts, person))  # whole: as fakes


def _longer(detection: Detection) -> float:
    x0, y0, x1, y1 = detection.box
    return float(max(x1 - x0, y1 - y0))


def _rows(table: Path) -> Iterator[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def main() -> None:
    """Write the stores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=PARTS)
    parser.add_argument("--train", type=Path, default=Path("../shared/data/train"))
    parser.add_argument("--more", type=Path, default=Path("data/more"))
    parser.add_argument("--out", type=Path, default=Path("data/default_model"))
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    finder = Finder()
    for part in given.parts:
        writer = StoreWriter(given.out / part)
        if part == "photographs":
            add_pictures(writer, photographs(given.more), finder)
        elif part == "faces":
            add_pictures(writer, faces(given.train), finder)
        elif part == "videos":
            add_videos(writer, given.train, given.more, finder)
        elif part == "pairs":
            add_pairs(writer, given.train, finder)
        else:
            add_dfdc(writer, given.more, finder)
        writer.close()
        logger.info("%s: done", part)


if __name__ == "__main__":
    main()
