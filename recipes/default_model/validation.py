"""The protocol's validation: `python -m recipes.default_model.validation RUN/*.ckpt`.

Sources, rule and order are fixed in docs/results.md. Nothing here was trained on.
"""

import argparse
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfake.evaluation.faces import appearance
from deepfake.evaluation.intervals import auroc_interval
from deepfake.evaluation.measures import auroc
from deepfake.evaluation.shortcuts import residual_auroc
from preprocessing.crops.manifest import read_manifest
from preprocessing.types import FaceCrop, Image
from recipes.default_model.draws import Draws, Kind
from recipes.default_model.gather import gather

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)

MARGIN = 0.12  # around the box's longer side: the margin of use
FACES = 12  # of a person that are scored
BLENDS = 300  # pairs of held-out people
COUNTED = ("FF++ c40 swaps", "DeepFaceLive", "demonstrations", "clips")
DEMOS = ("deepguard_demo", "dfd_ayhm", "lrnet_demo", "rayan_demo", "shashank_demo", "dfd_c40_real")
SWAPS = ("FF++ Deepfakes", "FF++ FaceSwap")
Scorer = Callable[[NDArray[np.uint8]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Source:
    """Faces of labelled videos.

    Args:
        faces: As the network takes them (N, S, S, 3), RGB.
        label: 0 real, 1 fake (N,).
        video: Video of each face, and `track` its person (N,).
        size: Longer side of the box, in pixels of its picture (N,).
        sharpness: See `deepfake.evaluation.faces.appearance` (N,).
    """

    faces: NDArray[np.uint8]
    label: NDArray[np.int64]
    video: NDArray[np.str_]
    track: NDArray[np.int64]
    size: NDArray[np.float64]
    sharpness: NDArray[np.float64]


Row = tuple[Image, int, str, int, float]


def cut(image: Image, box: Sequence[float], margin: float) -> Image:
    """Cut the square of use around a face, moved and shrunk to lie inside the picture."""
    height, width = image.shape[:2]
    longer = max(box[2] - box[0], box[3] - box[1])
    side = int(min(longer * (1 + 2 * margin), height, width))
    left = int(np.clip((box[0] + box[2] - side) / 2, 0, width - side))
    top = int(np.clip((box[1] + box[3] - side) / 2, 0, height - side))
    return image[top : top + side, left : left + side]


def faces_of(folder: Path, keep: Callable[[FaceCrop], bool], margin: float) -> Iterator[Row]:
    """Yield faces of each person of the videos kept, out of the wider crops that are stored."""
    people: dict[tuple[str, int], list[FaceCrop]] = {}
    for crop in read_manifest(folder):
        if crop.label is not None and keep(crop):
            people.setdefault((crop.video, crop.track), []).append(crop)
    for (video, track), crops in people.items():
        spread = np.linspace(0, len(crops) - 1, min(FACES, len(crops))).round().astype(int)
        for crop in (crops[i] for i in spread):
            image = np.asarray(cv2.imread(str(folder / crop.path)), dtype=np.uint8)[:, :, ::-1]
            x0, y0, x1, _ = crop.crop_box
            scale = image.shape[1] / (x1 - x0)
            box = [(v - o) * scale for v, o in zip(crop.box, (x0, y0, x0, y0), strict=True)]
            size = float(max(crop.box[2] - crop.box[0], crop.box[3] - crop.box[1]))
            assert crop.label is not None
            yield (
                np.asarray(cut(np.ascontiguousarray(image), box, margin)),
                crop.label,
                video,
                track,
                size,
            )


def blends_of(draws: Draws, kinds: Sequence[Kind], count: int) -> Iterator[Row]:
    """Yield held-out real faces and the fakes made of them, undamaged."""
    for number in range(count):
        rng = np.random.default_rng([77, number])
        pair = draws.pair(rng, kinds[number % len(kinds)])
        for label, image in enumerate((pair.real, pair.fake)):
            yield image, label, f"{number}#{label}", 0, float(image.shape[0])


def sources(
    devval: Path, clips: Path, material: Path, dfdc: Path, *, margin: float
) -> Mapping[str, Callable[[], Iterator[Row]]]:
    """Return how to make each source; see the protocol."""

    def of(folder: Path, keep: Callable[[FaceCrop], bool]) -> Callable[[], Iterator[Row]]:
        return lambda: faces_of(folder, keep, margin)

    def method(*methods: str) -> Callable[[], Iterator[Row]]:
        def keep(crop: FaceCrop) -> bool:
            return crop.dataset == "ffpp_c40" and (crop.label == 0 or crop.method in methods)

        return of(devval, keep)

    def blends(*kinds: Kind, count: int = BLENDS) -> Callable[[], Iterator[Row]]:
        def make() -> Iterator[Row]:
            return blends_of(Draws(gather(material, dfdc, "val"), size=224), kinds, count)

        return make

    return {
        "FF++ c40 swaps": method(*SWAPS),
        "FF++ Deepfakes": method(SWAPS[0]),
        "FF++ FaceSwap": method(SWAPS[1]),
        "FF++ reenactment": method("FF++ Face2Face", "FF++ NeuralTextures"),
        "demonstrations": of(devval, lambda crop: crop.dataset in DEMOS),
        "clips": of(clips, lambda _: True),
        "talking heads": of(
            devval, lambda crop: crop.dataset in ("skyreels_page", "aniportrait_demo")
        ),
        "DFDC frames": blends("dfdc"),
        "self-blended": blends("self"),
        "tool-shaped": blends("tool"),
        "decoded": blends("decoded"),
    }


def deepfacelive(material: Path, margin: float) -> Iterator[Row]:
    """Yield faces of the held-out clips of DeepFaceLive and their originals."""
    from recipes.default_model.store import FaceStore

    store = FaceStore(material / "pairs")
    for row in np.flatnonzero(store.split == "val"):
        label = int(store.label[row])
        face = cut(store.image(int(row)), store.box[row].tolist(), margin)
        yield face, label, f"{store.video[row]}#{label}", 0, float(store.face_px[row])


def made(rows: Iterator[Row], size: int) -> Source:
    """Return a source's faces at the network's size."""
    found = list(rows)
    faces = [
        cv2.resize(
            face,
            (size, size),
            interpolation=cv2.INTER_AREA if face.shape[0] > size else cv2.INTER_LINEAR,
        )
        for face, *_ in found
    ]
    return Source(
        np.stack(faces).astype(np.uint8),
        np.array([row[1] for row in found]),
        np.array([row[2] for row in found]),
        np.array([row[3] for row in found]),
        np.array([row[4] for row in found]),
        np.array([appearance(np.ascontiguousarray(row[0]))[0] for row in found]),
    )


def per_video(source: Source, logits: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Return label, logit, size and sharpness of each video: that of its worst person.

    People who are seen in under a quarter as many faces as the main one do not count.
    """
    rows = []
    for video in np.unique(source.video):
        mine = np.flatnonzero(source.video == video)
        tracks, counts = np.unique(source.track[mine], return_counts=True)
        people = [
            mine[source.track[mine] == t]
            for t, n in zip(tracks, counts, strict=True)
            if n >= counts.max() / 4
        ]
        worst = max(people, key=lambda faces: float(logits[faces].mean()))
        look = [np.median(source.size[worst]), np.median(source.sharpness[worst])]
        rows.append([source.label[mine[0]], logits[worst].mean(), *look])
    return tuple(np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))


def measure(source: Source, logits: NDArray[np.float64]) -> dict[str, float]:
    """Return AUROC by video with its interval, what is left of it, and correlations on reals."""
    label, score, size, sharpness = per_video(source, logits)
    looks = np.log(np.stack([size, sharpness + 1e-3], axis=1))
    p = 1 / (1 + np.exp(-np.clip(score, -15, 15)))
    value = auroc(label.astype(int), score)
    interval = auroc_interval(value, int((label == 0).sum()), int((label == 1).sum()))
    real = label == 0
    return {
        "reals": int(real.sum()),
        "fakes": int((~real).sum()),
        "auroc": value,
        "low": interval.low,
        "high": interval.high,
        "left": residual_auroc(label.astype(int), p, looks),
        "r_size": _correlation(score[real], looks[real, 0]),
        "r_sharpness": _correlation(score[real], looks[real, 1]),
    }


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    if a.size < 3 or a.std() == 0 or b.std() == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def cached(given: argparse.Namespace) -> dict[str, Source]:
    """Return all sources, from a file where they have been made before."""
    given.cache.mkdir(parents=True, exist_ok=True)
    how = dict(sources(given.devval, given.clips, given.material, given.dfdc, margin=given.margin))
    how["DeepFaceLive"] = lambda: deepfacelive(given.material, given.margin)
    found = {}
    for name, make in how.items():
        file = given.cache / f"{name.replace(' ', '_')}_{given.image_size}_{given.margin}.npz"
        if not file.is_file():
            np.savez(file, **vars(made(make(), given.image_size)))
        with np.load(file) as stored:
            found[name] = Source(**{key: stored[key] for key in stored.files})
    return found


def torch_scorer(path: Path) -> Scorer:
    """Return a scorer of a checkpoint of `recipes.default_model.training`: logits of faces."""
    import torch

    from deepfake.models.multi_stage import MultiStageClassifier

    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    network = MultiStageClassifier()
    network.load_state_dict({k.removeprefix("network."): v for k, v in state.items()})
    return network_scorer(network)


def network_scorer(network: "nn.Module") -> Scorer:
    """Return a scorer of a network in torch: logits of faces."""
    import torch

    network.eval().to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def score(faces: NDArray[np.uint8]) -> NDArray[np.float64]:
        found = []
        for start in range(0, len(faces), 32):
            batch = torch.from_numpy(faces[start : start + 32]).permute(0, 3, 1, 2).float()
            batch = ((batch - 127.5) / 127.5).contiguous(memory_format=torch.channels_last)
            found.append(network(batch))
        return np.asarray(torch.cat(found), dtype=np.float64)

    return score


def onnx_scorer(path: Path) -> Scorer:
    """Return a scorer of a model as it is shipped: logits of faces."""
    from deepfake.checkpoints import load

    checkpoint = load(path)

    def score(faces: NDArray[np.uint8]) -> NDArray[np.float64]:
        found = []
        for start in range(0, len(faces), 32):
            batch = [checkpoint.recipe.prepare(face) for face in faces[start : start + 32]]
            found.append(checkpoint.scorer.score(np.stack(batch)))
        p = np.clip(np.concatenate(found), 1e-9, 1 - 1e-9)
        return np.log(p) - np.log1p(-p)

    return score


def main() -> None:
    """Print a table for each checkpoint and append its figures to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("checkpoints", type=Path, nargs="+")
    add("--devval", type=Path, default=Path("data/devval"), help="preprocessed devval clips")
    add("--clips", type=Path, default=Path("data/clips"), help="preprocessed ../shared/data/clips")
    add("--material", type=Path, default=Path("data/default_model"))
    add("--dfdc", type=Path, default=Path("data/more/dfdc"))
    add("--cache", type=Path, default=Path("data/default_model/validation"))
    add("--image-size", type=int, default=224)
    add("--margin", type=float, default=MARGIN)
    add("--out", type=Path, help="JSON lines, one a checkpoint")
    given = parser.parse_args()
    found = cached(given)
    for path in given.checkpoints:
        scorer = onnx_scorer(path) if path.suffix != ".ckpt" else torch_scorer(path)
        rows = {name: measure(source, scorer(source.faces)) for name, source in found.items()}
        macro = float(np.mean([rows[name]["auroc"] for name in COUNTED]))
        left = float(np.mean([rows[name]["left"] for name in COUNTED]))
        print(f"{path}: macro {macro:.3f}, regressed out {left:.3f}")
        for name, row in rows.items():
            interval = f"{row['auroc']:.3f} [{row['low']:.2f}, {row['high']:.2f}]"
            looks = f"left {row['left']:.3f}  r {row['r_size']:+.2f} {row['r_sharpness']:+.2f}"
            print(f"  {name:18} {row['reals']:4} {row['fakes']:4}  {interval}  {looks}", flush=True)
        if given.out is not None:
            with given.out.open("a") as lines:
                content = {"checkpoint": str(path), "macro": macro, "left": left, "rows": rows}
                lines.write(json.dumps(content) + "\n")


if __name__ == "__main__":
    main()
