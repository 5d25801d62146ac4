"""What training sees, on one image."""

from pathlib import Path

import cv2
import numpy as np

from recipes.research.contact_sheet import TILE, main
from tests.crop_folders import draw_face, make_row, write_folder


def test_crops_stand_beside_what_augmentation_makes_of_them(tmp_path: Path) -> None:
    write_folder(tmp_path, [make_row("a", 0, label=0), make_row("b", 0, label=1)])
    out = tmp_path / "sheet.png"
    assert main([str(tmp_path), "--out", str(out)]) == 0
    sheet = np.asarray(cv2.imread(str(out)))
    assert sheet.shape == (TILE, 12 * TILE, 3)
    tiles = np.split(sheet, 12, axis=1)
    shown = [np.asarray(cv2.resize(draw_face(seed), (TILE, TILE))) for seed in (0, 1)]
    assert sorted(int(tile.sum()) for tile in tiles[:4:2]) == sorted(int(t.sum()) for t in shown)
    assert (tiles[0] == tiles[1]).all()  # without augmentation
    assert (tiles[4] == 255).all()


def test_made_fakes_of_reals_alone_are_shown_with_their_masks(tmp_path: Path) -> None:
    write_folder(tmp_path, [make_row("a", 0, label=0), make_row("b", 0, label=1)])
    out = tmp_path / "sheet.png"
    assert main([str(tmp_path), "--show", "self_blended", "--out", str(out)]) == 0
    sheet = np.asarray(cv2.imread(str(out)))
    real, fake, mask, *_ = np.split(sheet, 12, axis=1)
    changed = np.abs(real.astype(int) - fake).max(axis=2)
    assert changed.max() > 0
    assert (changed[mask[:, :, 0] == 0] == 0).mean() > 0.99
