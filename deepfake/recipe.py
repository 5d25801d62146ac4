"""From a face crop to what a network takes. Imports no torch."""

from dataclasses import dataclass
from typing import Literal, get_args, get_origin, get_type_hints

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.types import Image

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class InputRecipe:
    """How a crop becomes a tensor. Travels inside checkpoints.

    Args:
        image_size: Side of the network's input, in pixels.
        colour: Order of the channels.
        values: "unit" for 0..1, "byte" for 0..255, "stretch" for each crop's least value to 0 and
            its largest to 1.
        mean: Subtracted per channel, in the units of `values`, in the order of `colour`.
        std: Divided by per channel.
        resize: "squash" ignores the crop's shape, "pad" keeps it and adds black below and to the
            right, "pad_centred" on both sides.
        interpolation: "area" averages when it shrinks and is linear when it enlarges,
            "area_cubic" is cubic then.
    """

    image_size: int = 224
    colour: Literal["RGB", "BGR"] = "RGB"
    values: Literal["unit", "byte", "stretch"] = "unit"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    resize: Literal["squash", "pad", "pad_centred"] = "squash"
    interpolation: Literal["area", "area_cubic", "linear", "cubic", "nearest"] = "area"

    def __post_init__(self) -> None:
        size = self.image_size
        if not isinstance(size, int) or not 1 <= size <= 4096:
            raise ValueError(f"image_size must be 1 to 4096 pixels, got {size!r}")
        for name in ("colour", "values", "resize", "interpolation"):
            if getattr(self, name) not in _CHOICES[name]:
                raise ValueError(f"{name} must be of {_CHOICES[name]}, got {getattr(self, name)!r}")
        for name in ("mean", "std"):
            three = getattr(self, name)
            if len(three) != 3 or not np.isfinite(three).all() or (name == "std" and 0 in three):
                raise ValueError(f"{name} must be three finite numbers, std none of them 0")

    def resized(self, image: Image) -> Image:
        """Return the crop (H, W, 3) as (S, S, 3), RGB uint8."""
        size = self.image_size
        if self.resize == "squash":
            return self._scale(image, size, size)
        height, width = image.shape[:2]
        ratio = size / max(height, width)
        inner = self._scale(image, max(1, round(width * ratio)), max(1, round(height * ratio)))
        canvas = np.zeros((size, size, 3), dtype=np.uint8)
        top, left = 0, 0
        if self.resize == "pad_centred":
            top, left = (size - inner.shape[0]) // 2, (size - inner.shape[1]) // 2
        canvas[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
        return canvas

    def normalised(self, image: Image) -> NDArray[np.float32]:
        """Return the resized crop (S, S, 3) as (3, S, S) float32, as the network takes it."""
        levels = np.arange(256, dtype=np.float32)
        if self.values == "unit":
            levels = levels / np.float32(255)
        elif self.values == "stretch":
            low, high = np.float32(image.min()), np.float32(image.max())
            levels = (levels - low) / max(high - low, np.float32(1))
        table = (levels[:, None] - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        order = slice(None, None, -1 if self.colour == "BGR" else 1)
        face = cv2.LUT(image, np.ascontiguousarray(table[None, :, order]))  # a value for each level
        return np.ascontiguousarray(face[:, :, order].transpose(2, 0, 1), dtype=np.float32)

    def prepare(self, image: Image) -> NDArray[np.float32]:
        """Return the crop (H, W, 3), RGB uint8, as (3, S, S) float32."""
        return self.normalised(self.resized(image))

    def _scale(self, image: Image, width: int, height: int) -> Image:
        if image.shape[:2] == (height, width):
            return image
        shrinks = width * height < image.shape[0] * image.shape[1]
        modes = {
            "area": cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
            "area_cubic": cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC,
            "linear": cv2.INTER_LINEAR,
            "cubic": cv2.INTER_CUBIC,
            "nearest": cv2.INTER_NEAREST_EXACT,  # as Pillow; INTER_NEAREST is off by half a pixel
        }
        mode = modes[self.interpolation]
        return np.asarray(cv2.resize(image, (width, height), interpolation=mode), dtype=np.uint8)


_CHOICES = {
    name: get_args(kind)
    for name, kind in get_type_hints(InputRecipe).items()
    if get_origin(kind) is Literal
}
