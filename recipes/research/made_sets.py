"""Two small data sets in the layouts of FaceForensics++ and Celeb-DF, made of the sample clips.

    python -m recipes.research.made_sets data/videos

They serve to try a comparison from the videos to its table in minutes. All "people" are one person
in other light before another wall, so figures on them mean nothing. Sides are the official ones of
the FaceForensics++ pairs that are made.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np

from deepfake.data.protocols import find_protocol
from preprocessing.types import Image, Split

SAMPLES = Path(__file__).parents[2] / "samples"
FRAMES = 5  # of a clip
PAIRS: dict[Split, int] = {"train": 4, "val": 2, "test": 3}  # of FaceForensics++
CELEBRITIES = 10  # of Celeb-DF
TESTED = 6  # of them, from the first


def frames_of(name: str) -> list[Image]:
    """Return some frames of a sample clip, evenly spaced."""
    with av.open(str(SAMPLES / f"{name}.mp4")) as container:
        decoded = container.decode(video=0)
        frames = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in decoded]
    return frames[:: max(1, len(frames) // FRAMES)][:FRAMES]


def changed(frames: Sequence[Image], person: int) -> list[Image]:
    """Return frames in a person's light: same person, same light, whatever the clip."""
    rng = np.random.default_rng(person)
    coarse = rng.integers(0, 256, (5, 5, 3)).astype(np.uint8)
    gain = rng.uniform(0.75, 1.25, 3)
    found = []
    for frame in frames:
        height, width = frame.shape[:2]
        wall = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        mixed = np.clip(0.65 * frame * gain + 0.35 * wall, 0, 255).astype(np.uint8)
        found.append(mixed[:, ::-1] if person % 2 else mixed)
    return found


def write_clip(path: Path, frames: Sequence[Image]) -> None:
    """Write frames as H.264."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "18"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            image = np.ascontiguousarray(frame)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def write_sets(out: Path) -> None:
    """Write both sets into a folder."""
    real, fake = frames_of("real"), frames_of("fake")
    ffpp, celeb = out / "ffpp", out / "celeb-df"
    originals = ffpp / "original_sequences/youtube/c23/videos"
    fakes = ffpp / "manipulated_sequences/Deepfakes/c23/videos"
    for side, count in PAIRS.items():
        keys = [key for key in find_protocol("ffpp-c23").of(side) if "/Deepfakes/" in key]
        pairs = [key.rsplit("/", 1)[-1].split("_") for key in keys[: 2 * count : 2]]
        for first, second in pairs:
            for target, source in ((first, second), (second, first)):
                write_clip(originals / f"{target}.mp4", changed(real, int(target)))
                write_clip(fakes / f"{target}_{source}.mp4", changed(fake, int(target)))
        (ffpp / "splits").mkdir(exist_ok=True)
        (ffpp / "splits" / f"{side}.json").write_text(json.dumps(pairs), encoding="utf-8")
    lines = []
    for person in range(CELEBRITIES):
        other = person ^ 1
        clips = ((f"Celeb-real/id{person}_0000.mp4", real, 1),
                 (f"Celeb-synthesis/id{person}_id{other}_0000.mp4", fake, 0))  # fmt: skip
        for name, frames, is_real in clips:
            write_clip(celeb / name, changed(frames, 2000 + person))
            lines += [f"{is_real} {name}\n"] * (person < TESTED)
    (celeb / "List_of_testing_videos.txt").write_text("".join(lines), encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    """Write both sets."""
    parser = argparse.ArgumentParser(prog="python -m recipes.research.made_sets")
    parser.add_argument("out", type=Path)
    out = parser.parse_args(argv).out
    write_sets(out)
    print(f"{out}: {sum(1 for _ in out.rglob('*.mp4'))} clips")


if __name__ == "__main__":
    main()
