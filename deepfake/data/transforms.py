"""Augmentation of face crops: three presets, all seeded by the caller's generator."""

import os
import random
from collections.abc import Sequence
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfake.data.degrade import cut_out_part, recompress_video, resize_chain
from preprocessing.types import Image

Points = NDArray[np.float32]
AugmentationName = Literal["none", "paper", "strong"]


class Augmentation:
    """Changes all frames of a clip alike; one crop is a clip of one.

    One of your own is a subclass, named by its class path as networks are.
    """

    def __call__(
        self, clip: Sequence[Image], points: Sequence[Points], rng: np.random.Generator
    ) -> list[Image]:
        """Return the frames (H, W, 3) changed, RGB; `points` are landmarks (5 or 68, 2)."""
        raise NotImplementedError


class NoAugmentation(Augmentation):
    """Leave the crops as they are."""

    def __call__(
        self,
        clip: Sequence[Image],
        points: Sequence[Points],  # noqa: ARG002
        rng: np.random.Generator,  # noqa: ARG002
    ) -> list[Image]:
        """Return the frames unchanged."""
        return list(clip)


class Albumentations(Augmentation):
    """A pipeline of albumentations, made when it is first used; `make` returns it."""

    def __init__(self) -> None:
        self._pipeline: Any = None

    def make(self) -> Any:  # noqa: ANN401 - albumentations has no types
        """Return the pipeline."""
        raise NotImplementedError

    def __call__(
        self,
        clip: Sequence[Image],
        points: Sequence[Points],  # noqa: ARG002
        rng: np.random.Generator,
    ) -> list[Image]:
        """Return the frames through the pipeline, all with the same parameters."""
        if self._pipeline is None:
            self._pipeline = self.make()
        seed = int(rng.integers(2**31))
        frames = []
        for frame in clip:
            # Not `set_random_seed`: it gives every transform the same seed, so that their chances
            # fall together.
            self._pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))
            frames.append(np.asarray(self._pipeline(image=frame)["image"], dtype=np.uint8))
        return frames

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_pipeline": None}


class PaperAugmentation(Albumentations):
    """What "Combining EfficientNet and Vision Transformers for Video Deepfake Detection" uses.

    Coccomini et al., ICIAP 2022, https://arxiv.org/abs/2107.02612. Resizing and padding are
    left to `InputRecipe`.
    """

    def make(self) -> Any:  # noqa: ANN401 - albumentations has no types
        """Return compression, noise, flips, colour and movement."""
        a = _albumentations()
        return a.Compose(
            [
                a.ImageCompression(quality_range=(60, 100), p=0.2),
                a.GaussNoise(std_range=(0.0124, 0.0277), p=0.3),  # variance 10 to 50 of 255 levels
                a.HorizontalFlip(p=0.5),
                a.OneOf(
                    [a.RandomBrightnessContrast(), a.FancyPCA(), a.HueSaturationValue()], p=0.4
                ),
                a.ToGray(p=0.2),
                a.Affine(
                    scale=(0.8, 1.2),
                    translate_percent=(-0.1, 0.1),
                    rotate=(-5, 5),
                    keep_ratio=True,
                    border_mode=cv2.BORDER_CONSTANT,
                    p=0.5,
                ),
            ],
            seed=0,
        )


class SBIAugmentation(Albumentations):
    """What "Detecting Deepfakes with Self-Blended Images" trains with beside its blending.

    Shiohara and Yamasaki, CVPR 2022, https://arxiv.org/abs/2204.08376, section 4.1: compression,
    shifts of colour, brightness and contrast; and flips.
    """

    def make(self) -> Any:  # noqa: ANN401 - albumentations has no types
        """Return the pipeline."""
        a = _albumentations()
        return a.Compose(
            [
                a.HorizontalFlip(p=0.5),
                a.RGBShift(20, 20, 20, p=0.3),
                a.HueSaturationValue(p=0.3),
                a.RandomBrightnessContrast(brightness_limit=0.3, contrast_limit=0.3, p=0.3),
                a.ImageCompression(quality_range=(40, 100), p=0.5),
            ],
            seed=0,
        )


class StrongAugmentation(Albumentations):
    """Everything that happens to a video on its way, so that none of it tells real from fake.

    Flips and small movements, colour, blur, noise, several resizes, JPEG, re-encoding as video,
    and now and then a hidden part of the face.
    """

    def make(self) -> Any:  # noqa: ANN401 - albumentations has no types
        """Return what is done before resizing and compression."""
        a = _albumentations()
        return a.Compose(
            [
                a.HorizontalFlip(p=0.5),
                a.Affine(
                    scale=(0.9, 1.2),
                    translate_percent=(-0.05, 0.05),
                    rotate=(-8, 8),
                    border_mode=cv2.BORDER_REPLICATE,  # a mirrored border would be a seam to learn
                    p=0.5,
                ),
                a.OneOf(
                    [
                        a.RandomBrightnessContrast(brightness_limit=0.3, contrast_limit=0.3),
                        a.HueSaturationValue(),
                        a.RGBShift(),
                        a.RandomGamma(gamma_limit=(70, 140)),
                        a.ToGray(p=0.2),
                    ],
                    p=0.6,
                ),
                a.OneOf(
                    [
                        a.GaussianBlur(blur_limit=0, sigma_limit=(0.3, 1.8)),
                        a.MotionBlur(blur_limit=(3, 5)),
                        a.Sharpen(alpha=(0.1, 0.4), lightness=(0.9, 1.0)),
                    ],
                    p=0.3,
                ),
                a.GaussNoise(std_range=(0.005, 0.04), per_channel=True, p=0.25),
            ],
            seed=0,
        )

    def __call__(
        self, clip: Sequence[Image], points: Sequence[Points], rng: np.random.Generator
    ) -> list[Image]:
        """Return the frames degraded, all with the same parameters."""
        frames = list(clip)
        if rng.random() < 0.1:
            seed = rng.integers(2**31)
            frames = [
                cut_out_part(frame, at, np.random.default_rng(seed))
                for frame, at in zip(frames, points, strict=True)
            ]
        frames = super().__call__(frames, points, rng)
        if rng.random() < 0.6:
            seed = rng.integers(2**31)
            frames = [resize_chain(frame, np.random.default_rng(seed)) for frame in frames]
        choice = rng.random()
        if choice < 0.45:
            quality = int(rng.integers(30, 96))
            frames = [_jpeg(frame, quality) for frame in frames]
        elif choice < 0.7:
            frames = recompress_video(frames, crf=int(rng.integers(20, 41)))
        return frames


PRESETS: dict[AugmentationName, type[Augmentation]] = {
    "none": NoAugmentation,
    "paper": PaperAugmentation,
    "strong": StrongAugmentation,
}


def make_augmentation(name: AugmentationName | Augmentation) -> Augmentation:
    """Return the preset of that name; an augmentation as it is."""
    if isinstance(name, Augmentation):
        return name
    if name not in PRESETS:
        raise ValueError(
            f"augmentation must be one of {', '.join(PRESETS)}, or a class; got {name!r}"
        )
    return PRESETS[name]()


def _jpeg(image: Image, quality: int) -> Image:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)


def _albumentations() -> Any:  # noqa: ANN401 - albumentations has no types
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else importing asks the internet
    import albumentations

    return albumentations
