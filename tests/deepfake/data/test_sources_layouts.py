"""Data sets described by layouts.yaml: small trees as their authors describe them."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from deepfake.data.sources import find_source, find_videos, summary
from deepfake.data.sources.layout import known_layouts
from deepfake.errors import SourceError
from preprocessing.types import Video


def tree(root: Path, paths: Iterable[str]) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"video")
    return root


def read(root: Path, name: str) -> dict[str, Video]:
    assert find_source(root).name == name
    return {video.key: video for video in find_videos(root)}


def test_celeb_df_pp(tmp_path: Path) -> None:
    root = tree(
        tmp_path / "data",
        (
            "Celeb-real/id0_0000.mp4",
            "Celeb-real/id1_0003.mp4",
            "YouTube-real/00170.mp4",
            "Celeb-synthesis/FaceSwap/SimSwap/id0_id1_0000.mp4",
            "Celeb-synthesis/TalkingFace/FLOAT/id1_0003_x.mp4",
        ),
    )
    listed = "1 YouTube-real/00170.mp4\n0 Celeb-synthesis/FaceSwap/SimSwap/id0_id1_0000.mp4\n"
    (root / "List_of_testing_videos.txt").write_text(listed)
    videos = read(root, "celeb_df_pp")
    swap = videos["Celeb-DF++/SimSwap/id0_id1_0000"]
    assert (swap.label, swap.split, swap.identities) == (1, "test", ("id0", "id1"))
    assert swap.source == "Celeb-DF++/real/id0_0000"
    assert swap.source in videos
    assert videos["Celeb-DF++/real/id1_0003"].split == "train"
    assert videos["Celeb-DF++/FLOAT/id1_0003_x"].identities == ("id1",)
    assert videos["Celeb-DF++/real/YouTube-real/00170"].split == "test"
    text = summary(list(videos.values()), [root])
    assert "1/178" in text
    assert "fake in all: 2/53196" in text
    assert any("SimSwap" in line and "1/200" in line for line in text.splitlines())


def test_talking_head_bench(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        (
            "fake/Hallo/val/00012--drive_1--Hallo.mp4",
            "fake/Hallo/train/00013--drive_2--Hallo.mp4",
            "fake/additional_dataset/MAGI-1/a.mp4",
        ),
    )
    videos = read(root, "talking_head_bench")
    first = videos["TalkingHeadBench/Hallo/val/00012--drive_1--Hallo"]
    assert (first.label, first.split, first.identities) == (1, "val", ("ffhq-00012",))
    assert videos["TalkingHeadBench/MAGI-1/a"].split == "test"


def test_synth_forensics(tmp_path: Path) -> None:
    names = [
        f"{way}/videos/{crf}/wan2-1/035_wan2-1.mp4"
        for way in ("T2V", "I2V")
        for crf in ("raw", "crf23")
    ]
    videos = read(tree(tmp_path, names), "synth_forensics")
    assert len(videos) == 4
    one = videos["SynthForensics/I2V-wan2-1/crf23/035"]
    assert (one.compression, one.source) == ("crf23", "FaceForensics++/real/c23/035")


def test_polyglot_fake(tmp_path: Path) -> None:
    names = (
        "original_content/es/videos/es_1.mp4",
        "manipulated_content/to_ru/videos/es_1_to_ru_X.mp4",
    )
    videos = read(tree(tmp_path, names), "polyglot_fake")
    fake = videos["PolyGlotFake/lip-sync/es_1_to_ru_X"]
    assert fake.source == "PolyGlotFake/real/es_1"
    assert fake.identities == videos[fake.source].identities


def test_idforge_labels_the_picture(tmp_path: Path) -> None:
    names = [
        f"train/{kind}/id07/id07_01/a.mp4" for kind in ("pristine", "face_tts", "rvc_textmismatch")
    ]
    videos = read(tree(tmp_path, names), "idforge")
    labels = {video.path.parts[-4]: video.label for video in videos.values()}
    assert labels == {"pristine": 0, "face_tts": 1, "rvc_textmismatch": 0}
    assert {video.split for video in videos.values()} == {"train"}


def test_deepspeak(tmp_path: Path) -> None:
    root = tree(
        tmp_path, ("deepspeak-0/10-4100.mp4", "deepspeak-0/wav2lip--10-11--4100-4897--0.mp4")
    )
    (root / "annotations-real.csv").write_text(
        "video-file,identity\n10-4100.mp4,10\nlost.mp4,12\n/etc/out.mp4,1\n,1\n../a.mp4,1\n"
    )
    (root / "annotations-fake.csv").write_text(
        "video-file,kind,engine,identity-source,identity-target\n"
        "wav2lip--10-11--4100-4897--0.mp4,lip,wav2lip,10,11\n"
    )
    (root / "annotations-split-def.csv").write_text("identity,split\n10,test\n11,test\n")
    videos = read(root, "deepspeak")
    assert {(video.method, video.label, video.split) for video in videos.values()} == {
        ("real", 0, "test"),
        ("wav2lip", 1, "test"),
    }


def test_av_deepfake1m_labels_the_picture(tmp_path: Path) -> None:
    kinds = ("real", "visual_modified", "audio_modified", "both_modified")
    rows = [{"file": f"id0/x/{k}.mp4", "split": "val", "modify_type": k, "fps": 25} for k in kinds]
    root = tree(tmp_path, [f"val/{row['file']}" for row in rows])
    (root / "val_metadata.json").write_text(json.dumps(rows))
    videos = read(root, "av_deepfake1m")
    assert {video.path.stem: video.label for video in videos.values()} == {
        "real": 0, "visual_modified": 1, "audio_modified": 0, "both_modified": 1,
    }  # fmt: skip
    assert {video.identities for video in videos.values()} == {("id0",)}
    (root / "val_metadata.json").write_text("{}")
    with pytest.raises(SourceError, match="must hold a JSON list"):
        find_videos(root)


def test_deepfake_eval_2024(tmp_path: Path) -> None:
    root = tree(tmp_path, ("video-data/a.mp4", "video-data/b.mp4"))
    table = root / "video-metadata-publish.csv"
    table.write_text(
        "Filename,Video Ground Truth,Finetuning Set\na.mp4,Fake,Test\nb.mp4,Real,Train\n"
    )
    videos = read(root, "deepfake_eval_2024")
    found = {v.path.stem: (v.label, v.split) for v in videos.values()}
    assert found == {"a": (1, "test"), "b": (0, "train")}
    table.write_text("File,Truth\na.mp4,Fake\n")
    with pytest.raises(SourceError, match="no column 'filename'"):
        find_videos(root)


def test_names_are_unique_and_each_has_a_paper() -> None:
    names = [layout.name for layout in known_layouts()]
    assert len(set(names)) == len(names) == 18
    assert all(
        layout.entry["paper"].startswith("https://arxiv.org/abs/") for layout in known_layouts()
    )
