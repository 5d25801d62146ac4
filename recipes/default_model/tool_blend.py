"""Fakes shaped as face-swapping tools leave them: a small aligned face, made anew, pasted back."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfake.data.degrade import five_points
from deepfake.data.fakes.blending import Blend, Mask, blend, hull_mask, odd, true_pixels
from deepfake.data.fakes.face_swap import match_colour
from deepfake.data.fakes.hulls import Points, hull_points
from preprocessing.crops.cropping import TEMPLATE, similarity
from preprocessing.types import Image

Paste = Literal["square", "box", "hull", "inner", "oval"]
PASTES: tuple[Paste, ...] = ("square", "box", "hull", "inner", "oval")
PASTE_CHANCES = (0.25, 0.15, 0.3, 0.15, 0.15)
Resynthesis = Literal["resample", "smooth", "denoise", "median", "restore"]
RESYNTHESES: tuple[Resynthesis, ...] = ("resample", "smooth", "denoise", "median", "restore")
FRAMINGS = (0.0, 0.12, 0.35)  # margins around ArcFace's square: ArcFace, DeepFaceLab, FFHQ
INTERPOLATIONS = (cv2.INTER_LINEAR, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA)


@dataclass(frozen=True)
class ToolBlend:
    """Take a face out as a tool does, make it anew at low resolution, and paste it back.

    Swappers of today (inswapper, SimSwap, Ghost, HifiFace, DeepFaceLive, diffusion swaps) align the
    face by five points to a square of 112 to 512 pixels, synthesise that square, at times restore
    it with a face enhancer, match its colours, and warp it back under a mask: an eroded and blurred
    square, a feathered box, a hull of landmarks. What the generator itself leaves is imitated by
    resampling, smoothing, denoising, a median or sharpening after denoising, and by a slight bend,
    since no swapper keeps a face's shape.

    Args:
        resolution: Least and largest side of the synthesised square, over the side that the square
            has in the picture; the largest is above 1 where a tool's output is finer.
        bend: Largest deviation of the smooth warp, as a fraction of the square's side.
        min_change: Least mean absolute change inside the mask, in levels of 0 to 255.
        attempts: Tries before giving up on a crop.
    """

    resolution: tuple[float, float] = (0.33, 1.2)
    bend: float = 0.012
    min_change: float = 1.5
    attempts: int = 4

    def __call__(
        self,
        image: Image,
        points: Points,
        rng: np.random.Generator,
        *,
        donor: tuple[Image, Points] | None = None,
    ) -> Blend | None:
        """Return the real face, the fake and its mask; None where every try changed too little.

        Args:
            image: Real crop (H, W, 3), RGB.
            points: Five or 68 landmarks, in pixels of the crop.
            rng: Draws everything random.
            donor: Another person's crop with its landmarks, whose face is put in instead.
        """
        for _ in range(self.attempts):
            found = self._try(image, points, rng, donor)
            if found.change >= self.min_change:
                return found
        return None

    def _try(
        self,
        image: Image,
        points: Points,
        rng: np.random.Generator,
        donor: tuple[Image, Points] | None,
    ) -> Blend:
        five = five_points(points)
        kind = RESYNTHESES[rng.integers(len(RESYNTHESES))]
        margin = float(rng.choice(FRAMINGS))
        unit = aligning(five, margin)  # to a square of side 1
        across = 1 / float(np.hypot(unit[0, 0], unit[0, 1]))  # the square's side in the picture
        low, high = (np.log(value) for value in self.resolution)
        side = int(np.clip(across * np.exp(rng.uniform(low, high)), 40, 320))
        matrix = unit * side
        source, there = (image, matrix) if donor is None else _donor(donor, margin, side)
        face = resynthesise(_warp(source, there, side, rng), kind, rng)
        if rng.random() < 0.5:
            face = bent(face, self.bend * rng.uniform(0.3, 1.0), rng)
        if kind != "restore" and rng.random() < 0.3:
            face = sharpened(face, rng)
        paste = PASTES[rng.choice(len(PASTES), p=PASTE_CHANCES)]
        if donor is not None:  # another head's outline would stand beside this one's
            paste = "inner" if rng.random() < 0.7 else "hull"
        shape = (side, side)
        placed = np.asarray(points @ matrix[:, :2].T + matrix[:, 2], dtype=np.float32)
        mask = paste_mask(paste, shape, placed, rng)
        return self._paste(image, face, mask, matrix, rng, swap=donor is not None)

    def put_back(
        self, image: Image, made: Image, points: Points, rng: np.random.Generator
    ) -> Blend:
        """Put a face that was made elsewhere into its picture, at its place (both H, W, 3)."""
        unit = aligning(five_points(points), float(rng.choice(FRAMINGS)))
        side = 160
        matrix = unit * side
        placed = np.asarray(points @ matrix[:, :2].T + matrix[:, 2], dtype=np.float32)
        paste = PASTES[rng.choice(len(PASTES), p=PASTE_CHANCES)]
        mask = paste_mask(paste, (side, side), placed, rng)
        back = np.asarray(cv2.invertAffineTransform(matrix))
        size = (image.shape[1], image.shape[0])
        inside = cv2.warpAffine(mask, back, size, flags=cv2.INTER_LINEAR) * true_pixels(image)
        return blend(made, image, np.asarray(inside, np.float32))

    @staticmethod
    def _paste(
        image: Image,
        face: Image,
        mask: Mask,
        matrix: NDArray[np.float64],
        rng: np.random.Generator,
        *,
        swap: bool,
    ) -> Blend:
        size = (image.shape[1], image.shape[0])
        back = np.asarray(cv2.invertAffineTransform(matrix))
        way = int(rng.choice((cv2.INTER_LINEAR, cv2.INTER_LINEAR, cv2.INTER_CUBIC)))
        warped = cv2.warpAffine(face, back, size, flags=way, borderMode=cv2.BORDER_REPLICATE)
        inside = cv2.warpAffine(mask, back, size, flags=cv2.INTER_LINEAR) * true_pixels(image)
        if swap or rng.random() < 0.4:
            warped = match_colour(np.asarray(warped, np.uint8), image, inside)
        if rng.random() < 0.6:
            warped = off_colour(np.asarray(warped, np.uint8), rng)
        return blend(np.asarray(warped, np.uint8), image, np.asarray(inside, np.float32))


def aligning(five: Points, margin: float) -> NDArray[np.float64]:
    """Return the transform (2, 3) of a picture to ArcFace's square with a margin, of side 1."""
    return similarity(five, (TEMPLATE + margin) / (1 + 2 * margin))


def _warp(image: Image, matrix: NDArray[np.float64], side: int, rng: np.random.Generator) -> Image:
    """Cut an aligned square (S, S, 3), averaging first where it shrinks, as most tools do not."""
    scale = float(np.hypot(matrix[0, 0], matrix[0, 1]))
    if scale < 0.7 and rng.random() < 0.7:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.4 / scale), dtype=np.uint8)
    square = cv2.warpAffine(
        image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(square, dtype=np.uint8)


def _donor(
    donor: tuple[Image, Points], margin: float, side: int
) -> tuple[Image, NDArray[np.float64]]:
    return donor[0], aligning(five_points(donor[1]), margin) * side


def resynthesise(face: Image, kind: Resynthesis, rng: np.random.Generator) -> Image:
    """Imitate what a generator leaves of an aligned face (S, S, 3)."""
    side = face.shape[0]
    if kind == "resample":
        small = max(16, round(side * rng.uniform(0.4, 0.95)))
        down, up = rng.integers(len(INTERPOLATIONS)), rng.integers(3)
        shrunk = cv2.resize(face, (small, small), interpolation=INTERPOLATIONS[down])
        made = cv2.resize(shrunk, (side, side), interpolation=INTERPOLATIONS[up])
    elif kind == "smooth":
        made = cv2.GaussianBlur(face, (0, 0), float(rng.uniform(0.5, 1.6)))
    elif kind == "median":
        made = cv2.medianBlur(face, int(rng.choice((3, 3, 5))))
    else:
        strength = float(rng.uniform(12, 45))
        made = cv2.bilateralFilter(face, 5, strength, float(rng.uniform(1.5, 4)))
    plain = np.asarray(made, dtype=np.uint8)
    return sharpened(plain, rng) if kind == "restore" else plain


def sharpened(face: Image, rng: np.random.Generator) -> Image:
    """Sharpen as restorers do: strongly, by a mask of 1 to 2 pixels."""
    soft = cv2.GaussianBlur(face, (0, 0), float(rng.uniform(0.8, 2.0)))
    amount = float(rng.uniform(0.3, 1.3))
    return np.asarray(cv2.addWeighted(face, 1 + amount, soft, -amount, 0), dtype=np.uint8)


def bent(face: Image, amount: float, rng: np.random.Generator) -> Image:
    """Move parts of an aligned face smoothly by a standard deviation of `amount` of its side."""
    side = face.shape[0]
    shifts = rng.normal(0, amount * side, (2, 5, 5)).astype(np.float32)
    fields = [cv2.resize(shift, (side, side), interpolation=cv2.INTER_CUBIC) for shift in shifts]
    columns, rows = np.meshgrid(
        np.arange(side, dtype=np.float32), np.arange(side, dtype=np.float32)
    )
    moved = cv2.remap(
        face,
        columns + fields[0],
        rows + fields[1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(moved, dtype=np.uint8)


def off_colour(face: Image, rng: np.random.Generator) -> Image:
    """Shift brightness, contrast and channels by what colour matching leaves."""
    levels = np.arange(256, dtype=np.float64)[:, None]
    table = (levels - 128) * rng.uniform(0.9, 1.1) + 128 + rng.normal(0, 4, 3) + rng.normal(0, 4)
    return np.asarray(cv2.LUT(face, np.clip(table, 0, 255).astype(np.uint8)[None]), np.uint8)


def paste_mask(
    paste: Paste, size: tuple[int, int], points: Points, rng: np.random.Generator
) -> Mask:
    """Return the mask (S, S) in [0, 1] under which a tool puts an aligned square back.

    Args:
        paste: "square" eroded and blurred by a tenth of its side; "box" feathered from its edge;
            "hull" of the landmarks, with or without the forehead; "inner" from brows to mouth;
            "oval" around the square's middle.
        size: Of the square.
        points: Landmarks in pixels of the square.
        rng: Draws erosion and blur.
    """
    side = size[0]
    mask = np.zeros(size, dtype=np.float32)
    if paste in ("square", "box"):
        edge = max(1, round(side * rng.uniform(0.03, 0.14)))
        mask[edge : side - edge, edge : side - edge] = 1
        blur = edge if paste == "square" else edge * rng.uniform(0.3, 1.0)
    elif paste == "oval":
        axes = (round(side * rng.uniform(0.32, 0.42)), round(side * rng.uniform(0.38, 0.47)))
        cv2.ellipse(mask, (side // 2, round(side * 0.52)), axes, 0, 0, 360, 1.0, -1)
        blur = side * rng.uniform(0.02, 0.1)
    else:
        hull = "inner" if paste == "inner" else ("forehead" if rng.random() < 0.6 else "face")
        mask = hull_mask(size, hull_points(np.asarray(points, np.float32), hull))  # type: ignore[arg-type]
        erode = odd(side * rng.uniform(0.0, 0.06))
        mask = np.asarray(cv2.erode(mask, np.ones((erode, erode), np.uint8)), np.float32)
        blur = side * rng.uniform(0.01, 0.08)
    frame = max(1, round(0.02 * side))  # the square's own edge must never show
    mask[:frame] = mask[-frame:] = mask[:, :frame] = mask[:, -frame:] = 0
    kernel = odd(2 * blur)
    soft = np.asarray(cv2.blur(mask, (kernel, kernel)), dtype=np.float32)
    if rng.random() < 0.5:
        soft = np.asarray(cv2.blur(soft, (kernel, kernel)), dtype=np.float32)
    soft[0] = soft[-1] = soft[:, 0] = soft[:, -1] = 0
    return soft
