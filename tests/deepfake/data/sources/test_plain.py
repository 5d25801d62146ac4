"""Plain folders, files, patterns and CSVs."""

import logging
import random
from pathlib import Path

import pytest

from deepfake.data.sources import SourceError, find_videos

SHARED = Path("../shared/data")


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def keys(root: Path) -> list[str]:
    return [video.key for video in find_videos(root)]


def test_single_file_is_one_video_without_label(tmp_path: Path) -> None:
    touch(tmp_path, "clip.mp4")
    (video,) = find_videos(tmp_path / "clip.mp4")
    assert (video.key, video.label, video.source) == ("clip", None, None)


def test_real_and_fake_folders_give_labels_and_partners(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.mp4", "fake/a.mov", "fake/b.avi", "other/c.mkv", "notes.txt")
    videos = {video.key: video for video in find_videos(tmp_path)}
    assert {key: video.label for key, video in videos.items()} == {
        "real/a": 0,
        "fake/a": 1,
        "fake/b": 1,
        "other/c": None,
    }
    assert videos["fake/a"].source == "real/a"
    assert videos["fake/b"].source is None
    assert videos["real/a"].method == "real"
    assert videos["fake/a"].method == "fake"


def test_split_folders_above_the_labels(tmp_path: Path) -> None:
    touch(tmp_path, "train/real/a.mp4", "validation/fake/a.mp4", "test/fake/x/a.mp4")
    found = {video.key: (video.label, video.split) for video in find_videos(tmp_path)}
    assert found == {
        "real/train/a": (0, "train"),
        "fake/validation/a": (1, "val"),
        "fake/test/x/a": (1, "test"),
    }


def test_stems_that_differ_in_suffix_alone_keep_it(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "a.MOV", "sub/a.mp4")
    assert keys(tmp_path) == ["a.MOV", "a.mp4", "sub/a"]


def test_links_are_followed_once_and_hidden_files_are_not_videos(tmp_path: Path) -> None:
    touch(tmp_path, "data/a.mp4", "data/._a.mp4", "data/.cache/b.mp4", "elsewhere/c.mp4")
    (tmp_path / "data/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data/loop").symlink_to(tmp_path / "data")
    assert keys(tmp_path / "data") == ["a", "link/c"]


def test_pattern_matches_files_and_folders(tmp_path: Path) -> None:
    touch(tmp_path, "v/real/a.mp4", "v/fake/a.mp4", "v/fake/b.mov", "v/readme.md")
    assert keys(tmp_path / "v/*/*.mp4") == ["fake/a", "real/a"]
    assert keys(tmp_path / "v/f*") == ["fake/a", "fake/b"]
    with pytest.raises(SourceError, match="No video matches"):
        find_videos(tmp_path / "v/*.webm")


def test_nothing_there_and_nothing_recognised(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file or folder"):
        find_videos(tmp_path / "missing")
    touch(tmp_path, "a.txt", "b.txt")
    with pytest.raises(SourceError, match=r"Found: 2 \.txt"):
        find_videos(tmp_path)
    with pytest.raises(SourceError, match="is not a video"):
        find_videos(tmp_path / "a.txt")
    with pytest.raises(SourceError, match="Unknown source 'ffp'"):
        find_videos(tmp_path, source="ffp")
    with pytest.raises(SourceError, match="is not laid out as csv"):
        find_videos(tmp_path, source="csv")


def write(root: Path, *lines: str, name: str = "labels.csv") -> Path:
    table = root / name
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table


def test_table_reads_every_column(tmp_path: Path) -> None:
    touch(tmp_path, "v/a.mp4", "v/b.mp4", "v/c.mp4")
    write(
        tmp_path,
        "path,label,identities,method,source,split,dataset,compression",
        "v/a.mp4,real,Ann,,,train,D,c23",
        "v/b.mp4,1,Ann; Bob Lee,swap/old,v/a.mp4,valid,D,c23",
        "v/c.mp4,,,,,,,",
    )
    videos = {video.key: video for video in find_videos(tmp_path)}
    real, fake = videos["D/real/c23/v/a"], videos["D/swap-old/c23/v/b"]
    assert (real.label, real.identities, real.split, real.source) == (0, ("Ann",), "train", None)
    assert (fake.label, fake.identities, fake.split) == (1, ("Ann", "Bob Lee"), "val")
    assert fake.source == real.key
    assert videos["v/c"].label is None


def test_rows_in_any_order_give_the_same_videos(tmp_path: Path) -> None:
    names = [f"{label}/{number}.mp4" for label in ("real", "fake") for number in range(9)]
    touch(tmp_path, *names)
    rows = [f"{name},{name[:4]},{name[5:6]}" for name in names]
    write(tmp_path, "path,label,pair", *rows)
    first = find_videos(tmp_path)
    random.Random(1).shuffle(rows)
    write(tmp_path, "path,label,pair", *rows)
    assert find_videos(tmp_path) == first
    assert next(v for v in first if v.key == "fake/3").source == "real/3"


def test_counts_of_people_are_not_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    write(tmp_path, "path,label,identities", "a.mp4,real,1", "b.mp4,fake,2")
    assert [video.identities for video in find_videos(tmp_path)] == [(), ()]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["file,label", "a.mp4,real"], "no column 'path'; found file, label"),
        (["path,label"], "has no rows"),
        (["path,label", "a.mp4,real", "b.mp4,forged"], "row 3: unknown label 'forged'"),
        (["path,label", "", "a.mp4,real", "a.mp4,fake"], r"row 4: a\.mp4 is already in row 3"),
        (["path,label", "../a.mp4,real"], r"row 2: \.\./a\.mp4 must lie below"),
        (["path,label", "/etc/a.mp4,real"], "row 2: /etc/a.mp4 must lie below"),
        (["path,label", "out/x.mp4,real"], "row 2: out/x.mp4 is a link that leaves"),
        (["path,label", "c.mp4,real"], "row 2: no file"),
        (["path,label", ",real"], "row 2: no path"),
        (["path,label", "a.mp4,real,Ann"], "row 2: 3 values for 2 columns"),
        (["path,label,split", "a.mp4,real,dev"], "row 2: unknown split 'dev'"),
    ],
)
def test_wrong_rows_are_named(tmp_path: Path, lines: list[str], message: str) -> None:
    root = tmp_path / "data"
    touch(tmp_path, "data/a.mp4", "data/b.mp4", "outside/x.mp4")
    (root / "out").symlink_to(tmp_path / "outside")
    table = write(tmp_path, *lines, name="given.csv")
    with pytest.raises(SourceError, match=message):
        find_videos(root, labels=table)


def test_table_that_is_not_text(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    (tmp_path / "x.csv").write_bytes(b"\xff\xfepath\x00")
    with pytest.raises(SourceError, match="no text"):
        find_videos(tmp_path, labels=tmp_path / "x.csv")
    with pytest.raises(SourceError, match="Cannot read"):
        find_videos(tmp_path, labels=tmp_path / "none.csv")


def test_other_files_in_a_table_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "a.mp4", "photo.jpg", "voice.wav")
    write(tmp_path, "path,label", "a.mp4,real", "photo.jpg,real", "voice.wav,real")
    with caplog.at_level(logging.WARNING):
        assert keys(tmp_path) == ["real/a", "real/photo"]
    assert "voice.wav" in caplog.text


def test_photographs_are_read_where_there_is_no_video(tmp_path: Path) -> None:
    touch(tmp_path, "photos/real/a.jpg", "photos/fake/a.png", "clips/a.mp4", "clips/a.jpg")
    assert keys(tmp_path / "photos") == ["fake/a", "real/a"]
    assert keys(tmp_path / "clips") == ["a"]
    assert keys(tmp_path / "clips/*") == ["a"]
    assert find_videos(tmp_path / "clips/a.jpg")[0].key == "a"


@pytest.mark.realdata
@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent")
def test_pairs_of_the_shared_data() -> None:
    videos = find_videos(SHARED / "train/deepfacelive_pairs")
    by_key = {video.key: video for video in videos}
    fakes = [video for video in videos if video.label == 1]
    assert (len(videos), len(fakes)) == (98, 49)
    assert all(by_key[fake.source or ""].name == fake.name for fake in fakes)
    assert sum(fake.split == "train" for fake in fakes) == 36
    assert by_key["fake/Albica_Johns_0"].identities == ("98", "Albica_Johns")
    assert by_key["real/Albica_Johns_0"].identities == ("98",)
    people = {
        split: {who for video in videos if video.split == split for who in video.identities}
        for split in ("train", "val")
    }
    assert not people["train"] & people["val"]
    assert len(find_videos(SHARED / "clips")) == 20
