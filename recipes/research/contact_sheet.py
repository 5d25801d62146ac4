"""See what training sees: `python -m recipes.research.contact_sheet data/faces --out sheet.png`."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from deepfake.cli.console import DONE, Parser, run
from deepfake.errors import DeepfakeError

if TYPE_CHECKING:
    from preprocessing.types import Image

logger = logging.getLogger(__name__)

Show = Literal["crops", "self_blended", "swapped"]
COLUMNS = 12
TILE = 128  # pixels


def make_sheet(
    folder: Path,
    *,
    augmentation: str = "none",
    show: Show = "crops",
    count: int = 48,
    image_size: int = 224,
    seed: int = 0,
) -> "Image":
    """Return one image with many faces of a manifest.

    Args:
        folder: With the manifest.
        augmentation: Preset applied to every face: none, paper or strong.
        show: "crops" shows each crop beside its augmented self; "self_blended" and "swapped" show
            a real face, the fake made from it and the mask.
        count: Faces.
        image_size: Input size of the network that the faces are made for, in pixels.
        seed: Chooses faces and everything drawn.
    """
    import numpy as np

    from deepfake.data.dataset import FacePairs, FaceReader
    from deepfake.data.landmarks import with_dense_landmarks
    from deepfake.data.table import FaceTable
    from deepfake.data.transforms import make_augmentation
    from deepfake.recipe import InputRecipe
    from preprocessing.crops.manifest import read_table

    table = with_dense_landmarks(FaceTable.from_manifest(folder, read_table(folder)))
    rows = np.arange(len(table))
    if show != "crops":
        rows = rows[table.label == 0]
    reader = FaceReader(table, InputRecipe(image_size=image_size), seed=seed)
    augment = make_augmentation(augmentation)  # type: ignore[arg-type]
    rng = np.random.default_rng(seed)
    rows = rng.permutation(rows)[:count]
    pairs = None if show == "crops" else FacePairs(reader, rows[:, None], shares={show: 1.0})
    groups = []
    for index, row in enumerate(rows):
        frames, points = reader.read(rows[index : index + 1], shrink=True)
        if pairs is None or show == "crops":
            groups.append([frames[0], augment(frames, points, reader.rng(0, index))[0]])
            continue
        made = pairs.blends(show, index, reader.rng(0, index))
        if made is None:
            logger.info("left out %s: nothing visible changes", table.path[int(row)])
            continue
        mask = np.repeat((made[0].mask[:, :, None] * 255).astype(np.uint8), 3, axis=2)
        both = made[0].real, made[0].fake
        shown = [augment([image], points, reader.rng(1, index))[0] for image in both]
        groups.append([*shown, mask])
    return _tiled(groups)


def main(arguments: list[str] | None = None) -> int:
    """Write the sheet; return the exit status."""
    parser = Parser(prog="python -m recipes.research.contact_sheet", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with a manifest")
    parser.add_argument("--augmentation", choices=("none", "paper", "strong"), default="none")
    parser.add_argument("--show", choices=get_args(Show), default="crops")
    parser.add_argument("--count", type=int, default=48, help="faces")
    parser.add_argument("--image-size", type=int, default=224, help="network input, in pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("sheet.png"))
    settings = vars(parser.parse_args(arguments))
    out: Path = settings.pop("out")
    import cv2

    if not cv2.imwrite(str(out), make_sheet(**settings)[:, :, ::-1]):
        raise DeepfakeError(f"Cannot write {out}. Name a .png file in a folder that exists.")
    logger.info("%s", out)
    return DONE


def _tiled(groups: "list[list[Image]]") -> "Image":
    """Lay groups of images side by side, groups kept together."""
    import cv2
    import numpy as np

    across = COLUMNS // max(len(groups[0]), 1) if groups else 1
    blank = np.full((TILE, TILE, 3), 255, dtype=np.uint8)
    rows = []
    for start in range(0, len(groups), across):
        line = [
            cv2.resize(image, (TILE, TILE))
            for group in groups[start : start + across]
            for image in group
        ]
        line += [blank] * (across * len(groups[0]) - len(line))
        rows.append(np.hstack(line))
    return np.asarray(np.vstack(rows) if rows else blank, dtype=np.uint8)


if __name__ == "__main__":
    run(main)
