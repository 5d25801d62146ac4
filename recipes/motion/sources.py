"""Which clips motion is learned from and measured on, and what each is."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGES = ("skyreels_page", "aniportrait_demo")  # generators never trained on, with their own reals
IN_PLACE = "FF++"  # its reenactments change the face of a video, and are measured with the swaps


@dataclass(frozen=True)
class Clip:
    """A clip and what is known of it.

    Args:
        path: The file.
        source: Where it was found, such as "skyreels_page".
        kind: "real", "swap", "talking_head" or "reenactment".
        generator: What made a fake, such as "SkyReels-A1"; else empty.
        person: Who moves; clips of one person are never counted as independent.
        use: "train" or "val".
    """

    path: Path
    source: str
    kind: str
    generator: str
    person: str
    use: str

    @property
    def fake(self) -> bool:
        """Whether the clip was manipulated."""
        return self.kind != "real"

    @property
    def talking(self) -> bool:
        """Whether all of it was generated, from a photograph and a motion or a voice."""
        return self.kind in ("talking_head", "reenactment") and IN_PLACE not in self.generator

    @property
    def name(self) -> str:
        """The clip's name among all, usable as a file name."""
        return f"{self.source}__{self.path.stem}"


def clips(more: Path, media: Path, data: Path) -> Iterator[Clip]:
    """Yield every clip whose file is there.

    Args:
        more: Holds `devval.csv`.
        media: What `rebuild_clips.py` rebuilt.
        data: Holds `train/real_videos`, `train/deepfacelive_pairs` and `clips`.
    """
    found = (*_devval(more, media), *_real_videos(data), *_pairs(data), *_trial(data))
    yield from (clip for clip in found if clip.path.is_file())


def _devval(more: Path, media: Path) -> Iterator[Clip]:
    rows = list(_rows(more / "devval.csv"))
    drivers = {_scene(row["out"]): row["person"] for row in rows if row["person"]}
    for row in rows:
        fake = row["kind"] != "real"
        generator = row["tool_or_dataset"] if fake else ""
        # A reenacted face moves as the person who drives it, so it counts as that person.
        person = row["person"] or drivers.get(_scene(row["out"])) or row["out"]
        yield Clip(media / row["out"], row["source"], row["kind"], generator, person, row["use"])


def _scene(out: str) -> str:
    """Return what clips cut from one picture have in common: "skyreels_page/web_demo1"."""
    return re.sub(
        r"_(driving|skyreels|skyreels-a1|follow-your-emoji|runway_act-one|aniportrait)(?=\.)",
        "",
        out,
    )


def _real_videos(data: Path) -> Iterator[Clip]:
    folder = data / "train/real_videos"
    for row in _rows(folder / "index.csv"):
        person = f"person {row['person_group']}"
        yield Clip(folder / row["path"], "real_videos", "real", "", person, "train")


def _pairs(data: Path) -> Iterator[Clip]:
    folder = data / "train/deepfacelive_pairs"
    for row in _rows(folder / "pairs.csv"):
        if row["label"] == "real":
            person = f"person {row['person_group']}"
            yield Clip(folder / row["path"], "deepfacelive", "real", "", person, "train")


def _trial(data: Path) -> Iterator[Clip]:
    for row in _rows(data / "clips/labels.csv"):
        if row["label"] == "real":
            path = data / "clips" / row["path"]
            yield Clip(path, path.parent.name, "real", "", row["path"], "train")


def _rows(table: Path) -> Iterator[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)
