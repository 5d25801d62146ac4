"""Make `samples/real.mp4` and `samples/fake.mp4`: `python samples/make.py`.

Both animate scikit-image's portrait of the astronaut Eileen Collins (NASA, public domain) by pan,
zoom and light. In the fake one, the face is a self-blended one (Shiohara and Yamasaki, CVPR 2022).
Needs the extra "dev", for scikit-image.
"""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from skimage.data import astronaut

from deepfake.data.fakes.self_blend import SelfBlend
from preprocessing.faces.mtcnn import MTCNN
from preprocessing.types import Image

FOLDER = Path(__file__).parent
SIDE = 384  # pixels
SECONDS, RATE = 4, 25
SEED = 3


def self_blended(portrait: Image) -> Image:
    """Return the portrait with its face blended with a changed copy of itself."""
    (face, *_) = MTCNN().detect([portrait])[0]
    made = SelfBlend(min_change=6.0)(portrait, face.landmarks, np.random.default_rng(SEED))
    assert made is not None
    return made.fake


def animate(portrait: Image) -> list[Image]:
    """Return the frames of a slow pan and zoom under changing light."""
    frames = []
    for t in np.linspace(0, 1, SECONDS * RATE):
        zoom = 1.1 + 0.12 * np.sin(2 * np.pi * t)
        centre = np.array([226 + 14 * np.sin(4 * np.pi * t), 150 + 10 * np.cos(2 * np.pi * t)])
        scale = zoom * SIDE / 300
        matrix = np.array(
            [[scale, 0, SIDE / 2 - scale * centre[0]], [0, scale, SIDE / 2 - scale * centre[1]]]
        )
        frame = cv2.warpAffine(
            portrait, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        light = 1 + 0.12 * np.sin(2 * np.pi * (t + 0.2))
        frames.append(np.clip(frame * light, 0, 255).astype(np.uint8))
    return frames


def write(path: Path, frames: list[Image]) -> None:
    """Write frames as H.264."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(RATE))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        stream.options = {"crf": "23", "preset": "slow", "threads": "1"}
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def main() -> None:
    """Write both clips."""
    portrait = np.asarray(astronaut(), dtype=np.uint8)
    write(FOLDER / "real.mp4", animate(portrait))
    write(FOLDER / "fake.mp4", animate(self_blended(portrait)))


if __name__ == "__main__":
    main()
