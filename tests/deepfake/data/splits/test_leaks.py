"""Each kind of leak and shortcut is planted, found and named; a clean folder has none."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from deepfake.data.__main__ import main
from deepfake.data.datamodule import FaceDataModule
from deepfake.data.packing import pack_images
from deepfake.data.sources import SourceError, find_videos
from deepfake.data.splits import looks
from deepfake.data.splits.assign import assign_splits
from deepfake.data.splits.crop_hashes import KNOWN, crop_hashes, read_known, write_known
from deepfake.data.splits.duplicates import (
    MAX_BITS,
    distance,
    face_hash,
    near_duplicates,
    perceptual_hash,
)
from deepfake.data.splits.giveaways import shortcuts
from deepfake.data.splits.leaks import Leak, describe, find_leaks, sample_rows, split_folder
from deepfake.errors import LeakError
from preprocessing.crops.manifest import (
    FaceRow,
    VideoRecord,
    read_manifest,
    read_table,
    write_manifest,
)
from preprocessing.errors import DeepfakeError
from preprocessing.types import FaceCrop, Image, Split, Video, VideoInfo

INFO = VideoInfo(
    width=640,
    height=360,
    fps=25.0,
    duration_s=4.0,
    codec="h264",
    pixel_format="yuv420p",
    bit_rate=500_000,
    file_bytes=250_000,
    frames=100,
    declared_frames=100,
)


def picture(name: str, side: int = 64) -> Image:
    """Return a smooth random image that is always the same for a name."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def again(image: Image, seed: int = 0) -> Image:
    """Return the image as another encoding of it: smaller, JPEG, a little brighter."""
    small = cv2.resize(image, (48, 48), interpolation=cv2.INTER_AREA)
    code = cv2.imencode(".jpg", cv2.convertScaleAbs(small, alpha=1.05, beta=6), [1, 60])[1]
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), dtype=np.uint8)


def person(number: int, split: Split | None = None) -> list[Video]:
    real = Video(
        path=Path(f"{number}.mp4"),
        name=f"{number}",
        method="real",
        label=0,
        identities=(f"p{number}",),
        split=split,
    )
    fake = replace(real, method="fake", label=1, source=real.key, identities=(f"p{number}",))
    return [real, fake]


def faces(
    folder: Path,
    videos: Sequence[Video],
    *,
    info: Callable[[Video], VideoInfo] = lambda _: INFO,
    look: Callable[[Video, int], Image] = lambda video, i: picture(f"{video.key}{i}"),
    side: Callable[[Video], float] = lambda _: 64.0,
) -> list[FaceCrop]:
    """Write a folder of crops as preprocessing does, three crops a video."""
    rows: list[FaceCrop] = []
    for video in videos:
        place = f"crops/{video.key}"
        (folder / place).mkdir(parents=True)
        for i in range(3):
            cv2.imwrite(str(folder / place / f"{i}.png"), look(video, i))
        box = (0.0, 0.0, side(video), side(video))
        points = tuple(float(i) for i in range(10))
        crops = tuple(FaceRow(f"{i}.png", 0, i, i / 25, box, 1.0, points, box) for i in range(3))
        record = VideoRecord(video.key, video, info(video), 3, 3, 0, 0, {}, crops)
        (folder / place / "video.json").write_text(record.to_json())
        rows += record.crops(place)
    write_manifest(folder, rows)
    return rows


CLEAN = [video for number in range(20) for video in person(number)]


def check(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = main(["check", str(folder)])
    return status, capsys.readouterr().out


def test_nothing_is_found_in_a_clean_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faces(tmp_path, CLEAN)
    status, out = check(tmp_path, capsys)
    assert status == 0
    assert "Nothing found." in out
    assert "leak:" not in out
    assert "shortcut:" not in out
    assert "train       14 real      14 fake" in out


def test_check_names_a_person_on_two_official_sides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sides: tuple[Split, ...] = ("train", "val", "test")
    videos = [v for i, side in enumerate(sides * 4) for v in person(i, side)]
    videos[2] = replace(videos[2], identities=("p1", "p0"))  # person 0 trains, video 1 validates
    faces(tmp_path, videos)
    status, out = check(tmp_path, capsys)
    assert status == 1
    assert out.count("leak:") == 1
    assert "leak: identity: person p0: 2 train, 1 val videos, such as fake/0 and real/1" in out


def test_check_without_a_manifest_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DeepfakeError, match="preprocess"):
        main(["check", str(tmp_path)])


def kinds(rows: Sequence[FaceCrop], assignment: dict[str, Split], root: Path) -> list[str]:
    return [leak.kind for leak in leaks_of(rows, assignment, root)]


def leaks_of(rows: Sequence[FaceCrop], assignment: dict[str, Split], root: Path) -> list[Leak]:
    return find_leaks(rows, assignment, near_duplicates(crop_hashes(rows, root)))


def test_each_planted_leak_is_named_and_no_other(tmp_path: Path) -> None:
    lonely = Video(Path("x"), "x", method="fake", label=1, source="real/gone")
    orphans = [lonely, replace(lonely, name="y"), replace(lonely, name="z", source="real/other")]
    twin = Video(Path("t"), "twin", method="real", label=0)
    pair = [replace(video, identities=()) for video in person(30)]
    tested = Video(Path("q"), "official", method="real", label=0, split="test")

    def look(video: Video, i: int) -> Image:
        if video.name == "twin":  # the footage of video 0, encoded again
            return again(picture(f"real/0{i}"))
        return picture(f"{video.key}{i}")

    rows = faces(tmp_path, [*CLEAN, *orphans, twin, *pair, tested], look=look)
    clean = dict(assign_splits(rows).assignment) | {"real/official": "test"}
    clean["real/twin"] = clean["real/0"]
    assert leaks_of(rows, clean, tmp_path) == []

    def other(side: Split) -> Split:
        return "val" if side == "train" else "train"

    def moved(key: str) -> dict[str, Split]:
        return clean | {key: other(clean[key])}

    assert kinds(rows, moved("fake/x"), tmp_path) == ["source video"]
    assert kinds(rows, moved("fake/30"), tmp_path) == ["partner"]
    assert kinds(rows, moved("fake/3"), tmp_path) == ["identity", "partner"]
    assert kinds(rows, clean | {"real/official": "val"}, tmp_path) == ["test video"]
    (leak,) = leaks_of(rows, moved("real/twin"), tmp_path)
    assert (leak.kind, leak.videos) == ("near-duplicate", ("real/0", "real/twin"))
    assert "look the same" in str(leak)
    plan, leaks = split_folder(read_table(tmp_path), tmp_path)
    assert leaks == []
    assert plan.assignment["real/twin"] == plan.assignment["real/0"]


def test_hashes_are_computed_once_for_a_manifest(tmp_path: Path) -> None:
    faces(tmp_path, CLEAN[:4])
    rows = sample_rows(read_table(tmp_path))
    first = crop_hashes(rows, tmp_path)
    for file in tmp_path.rglob("*.png"):
        file.unlink()
    again_ = crop_hashes(rows, tmp_path)
    assert again_.keys() == first.keys() == {row.video for row in rows}
    for key, hashes in first.items():
        np.testing.assert_array_equal(again_[key], hashes)
    assert crop_hashes(rows[1:], tmp_path) == {}  # other crops: read, and they are gone
    (tmp_path / ".hashes.npz").write_bytes(b"broken")
    assert crop_hashes(rows, tmp_path) == {}


def test_leaks_stop_training_unless_allowed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sides: tuple[Split, ...] = ("train", "val")
    videos = [v for i, side in enumerate(sides * 4) for v in person(i, side)]
    videos[2] = replace(videos[2], identities=("p0",))
    faces(tmp_path, videos)
    with pytest.raises(LeakError, match=r"has 1 leaks: identity: person p0.*allow_leaks true"):
        FaceDataModule(tmp_path, num_workers=0).setup()
    FaceDataModule(tmp_path, num_workers=0, allow_leaks=True).setup()
    assert "leak: identity: person p0" in caplog.text


def test_many_leaks_are_described_by_a_few() -> None:
    leaks = [Leak("identity", (str(i),), ("train", "val"), f"person {i}") for i in range(7)]
    lines = describe([*leaks, Leak("partner", ("a", "b"), ("train", "val"), "a and b")])
    assert lines[0] == "identity: person 0"
    assert lines[5:] == ["identity: 2 more", "partner: a and b"]


def test_people_of_two_data_sets_are_not_the_same(tmp_path: Path) -> None:
    videos = [replace(CLEAN[0], dataset="A"), replace(CLEAN[0], dataset="B")]
    rows = faces(tmp_path, videos)
    assert find_leaks(rows, {"A/real/0": "train", "B/real/0": "val"}) == []


def test_a_few_crops_of_each_video_are_sampled(tmp_path: Path) -> None:
    faces(tmp_path, CLEAN[:4])
    table = read_table(tmp_path)
    assert len(sample_rows(table)) == 12
    assert [row.frame for row in sample_rows(table, 2)] == [0, 2] * 4
    assert sample_rows(table.slice(0, 0)) == []
    assert len(read_manifest(tmp_path)) == 12


@pytest.mark.parametrize(
    ("name", "planted"),
    [
        ("file size", {"file_bytes": 900_000}),
        ("bit rate", {"bit_rate": 100_000}),
        ("number of pixels", {"width": 1280, "height": 720}),
        ("resolution", {"width": 360, "height": 640}),
        ("frame rate", {"fps": 30.0}),
        ("codec", {"codec": "vp9"}),
        ("duration", {"duration_s": 9.0}),
        ("pixel format", {"pixel_format": "yuv444p"}),
    ],
)
def test_check_names_a_shortcut(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, planted: dict[str, Any]
) -> None:
    faces(tmp_path, CLEAN, info=lambda v: replace(INFO, **planted) if v.label else INFO)
    status, out = check(tmp_path, capsys)
    assert status == 1
    assert f"shortcut: {name} alone gives an AUROC of 1.00" in out
    assert "leak:" not in out


def test_crop_size_suffix_and_data_set_are_shortcuts_too(tmp_path: Path) -> None:
    def mark(video: Video) -> Video:
        path = Path("x.avi") if video.label else Path("x.mp4")
        return replace(video, path=path, dataset="ABC"[-1 if video.label else 0], source=None)

    faces(tmp_path, [mark(v) for v in CLEAN], side=lambda v: 90.0 if v.label else 60.0)
    records = [VideoRecord.from_json(f.read_text()) for f in tmp_path.rglob("video.json")]
    strong = {shortcut.name for shortcut in shortcuts(records) if shortcut.strong}
    assert strong == {"crop size", "file suffix", "data set"}


def test_shortcut_auroc_is_that_of_scikit_learn(tmp_path: Path) -> None:
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(0)
    sizes = {video.key: int(random.integers(100, 140) + 15 * (video.label or 0)) for video in CLEAN}
    faces(tmp_path, CLEAN, info=lambda video: replace(INFO, file_bytes=sizes[video.key]))
    records = [VideoRecord.from_json(f.read_text()) for f in tmp_path.rglob("video.json")]
    found = {shortcut.name: shortcut for shortcut in shortcuts(records)}
    labels = [record.video.label for record in records]
    expected = roc_auc_score(labels, [record.info.file_bytes for record in records])
    assert found["file size"].auroc == pytest.approx(expected)


def test_random_kinds_are_no_shortcut(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    widths = {video.key: int(random.integers(10)) for video in CLEAN}
    faces(tmp_path, CLEAN, info=lambda video: replace(INFO, codec=str(widths[video.key])))
    records = [VideoRecord.from_json(f.read_text()) for f in tmp_path.rglob("video.json")]
    assert not any(shortcut.strong for shortcut in shortcuts(records))
    assert shortcuts(records[:1]) == []


def test_hash_outlives_encoding_and_tells_images_apart() -> None:
    hashes = []
    for i in range(40):
        first = perceptual_hash(picture(str(i)))
        second = perceptual_hash(again(picture(str(i))))
        assert first is not None
        assert second is not None
        assert distance(first[None], second[None]).item() <= 40
        hashes.append(first)
    apart = distance(np.stack(hashes), np.stack(hashes))[np.triu_indices(40, 1)]
    assert apart.min() > 60
    assert perceptual_hash(np.full((50, 50, 3), 7, dtype=np.uint8)) is None


def test_near_duplicates_are_found_among_many_without_comparing_all() -> None:
    random = np.random.default_rng(0)
    hashes = {str(i): random.integers(0, 256, (5, 32), dtype=np.uint8) for i in range(3000)}
    copy = np.unpackbits(hashes["7"], axis=1)
    for row in copy:
        row[random.choice(256, 20, replace=False)] ^= 1
    hashes["copy"] = np.packbits(copy, axis=1)
    assert list(near_duplicates(hashes)) == [("7", "copy", 20)]
    assert list(near_duplicates({})) == []


TRUE_POINTS = np.array([[22, 28], [42, 28], [32, 39], [24, 50], [40, 50]], dtype=np.float32)


def test_hash_of_a_face_outlives_turning_scaling_and_cutting_it_otherwise() -> None:
    apart = []
    for i in range(20):
        image, points = picture(f"{i}", 224), TRUE_POINTS * 1.5 + 64
        turn = cv2.getRotationMatrix2D((112, 112), 9.0, 1.4) + np.array([[0, 0, 56], [0, 0, 64]])
        turned = np.asarray(cv2.warpAffine(image, turn, (336, 350), borderMode=1), np.uint8)
        moved = (points @ turn[:, :2].T + turn[:, 2]).astype(np.float32)
        first, second = face_hash(image, points), face_hash(turned, moved)
        assert first is not None
        assert second is not None
        assert distance(first[None, :32], second[None, :32]).item() <= MAX_BITS
        mirrored = image[:, ::-1].copy()
        swapped = points[[1, 0, 2, 4, 3]] * np.array([-1, 1], np.float32)
        swapped[:, 0] += 223
        third = face_hash(mirrored, swapped)
        assert third is not None
        assert distance(first[None, 32:], third[None, :32]).item() <= MAX_BITS
        apart.append(first[:32])
    others = distance(np.stack(apart), np.stack(apart))[np.triu_indices(20, 1)]
    assert others.min() > MAX_BITS


def test_mirrored_and_trimmed_copies_are_found_in_another_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def look(video: Video, i: int) -> Image:
        if video.name == "0":  # the footage of video 1 of the other folder, mirrored
            return np.ascontiguousarray(again(picture(f"real/1{i}"))[:, ::-1])
        if video.name == "1":  # that of video 2 from its second crop on
            return again(picture(f"real/2{i + 1}" if i < 2 else "end"))
        return picture(f"other {video.key}{i}")

    mine = [replace(v, identities=()) for number in range(5) for v in person(number)[:1]]
    theirs = [replace(v, dataset="B", identities=()) for v in mine[:4]]
    faces(tmp_path / "a", mine)
    faces(tmp_path / "b", theirs, look=look)
    assert main(["check", str(tmp_path / "a"), str(tmp_path / "b")]) == 1
    out = capsys.readouterr().out
    assert out.count("shared: near-duplicate") == 2
    assert "B/real/0 and real/1 look the same" in out or "real/1 and B/real/0 look the same" in out
    assert "2 shared." in out
    faces(tmp_path / "c", [replace(v, dataset="C") for v in theirs],
          look=lambda video, i: picture(f"c {video.key}{i}"))  # fmt: skip
    assert main(["check", str(tmp_path / "a"), str(tmp_path / "c")]) == 0


def test_names_are_the_same_in_any_case_and_real_names_in_any_data_set(tmp_path: Path) -> None:
    def named(key: str, dataset: str, name: str) -> Video:
        return Video(Path(key), key, method="real", label=0, dataset=dataset, identities=(name,))

    videos = [
        named("a", "A", "ID7"), named("b", "A", "id7"), named("c", "B", "id7"),
        named("d", "A", "Ada Lovelace"), named("e", "B", "ada_lovelace"),
        named("f", "A", "Unknown person"), named("g", "B", "unknown person"),
    ]  # fmt: skip
    rows = faces(tmp_path, videos)
    sides = {v.key: ("train" if v.name in "adf" else "val") for v in videos}
    leaks = find_leaks(rows, cast(dict[str, Split], sides))
    assert [leak.videos for leak in leaks] == [
        ("A/real/a", "A/real/b"), ("A/real/d", "B/real/e"),
    ]  # fmt: skip


@pytest.mark.parametrize("described", [False, True])
def test_check_says_whether_people_were_compared(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    described: bool,
) -> None:
    # Who is seen is told by the brightness of the crop, as a network would by the face.
    def describe(image: Image, points: object) -> NDArray[np.float64]:
        return np.full(128, float(image.mean() > 128))

    monkeypatch.setattr(looks, "recogniser", lambda: describe if described else None)
    videos = [replace(v, identities=()) for number in range(20) for v in person(number)[:1]]
    faces(tmp_path / "a", videos[:10], look=lambda v, i: picture(f"{v.key}{i}") // 4)
    bright = lambda v, i: picture(f"b{v.key}{i}") // 4 + (190 if v.name == "13" else 0)  # noqa: E731
    faces(tmp_path / "b", videos[10:], look=bright)
    assert main(["check", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    out = capsys.readouterr().out
    if described:
        assert "real/0 and real/10 may show the same person" in out
        assert "real/13" not in out.split("Nothing")[0]
        assert "people were compared by their faces alone" in out
    else:
        assert "people were not compared" in out.splitlines()[-1]


def test_hashes_of_training_crops_know_their_footage_again(tmp_path: Path) -> None:
    faces(tmp_path / "a", CLEAN[:6])
    hashes = crop_hashes(sample_rows(read_table(tmp_path / "a")), tmp_path / "a")
    write_known(tmp_path / KNOWN, hashes)
    known = read_known(tmp_path / KNOWN)
    assert len(known) == 6
    assert "real" not in "".join(known)

    def look(video: Video, i: int) -> Image:
        copied = video.name == "8" and not video.label
        return again(picture(f"real/1{i}" if copied else f"new {video.key}{i}"))

    faces(tmp_path / "b", CLEAN[16:20], look=look)
    new = crop_hashes(sample_rows(read_table(tmp_path / "b")), tmp_path / "b")
    assert [pair[0] for pair in near_duplicates(new, known)] == ["real/8"]
    (tmp_path / KNOWN).write_bytes(b"broken")
    assert read_known(tmp_path / KNOWN) == read_known(tmp_path / "none.npz") == {}


def test_images_are_packed_without_loss_and_read_as_wild_deepfake(tmp_path: Path) -> None:
    for folder in ("real_train/1/real/4", "fake_train/2/fake/9"):
        (tmp_path / folder).mkdir(parents=True)
        for i in (10, 2):
            cv2.imwrite(str(tmp_path / folder / f"{i}.png"), picture(f"{folder}{i}"))
    cv2.imwrite(str(tmp_path / "fake_train/2/fake/9/11.png"), picture("small", 32))
    (tmp_path / "fake_train/2/fake/9/12.png").write_bytes(b"broken")
    with pytest.raises(SourceError, match="published as images"):
        find_videos(tmp_path)
    assert main(["pack", str(tmp_path)]) == 0
    before = {path: path.read_bytes() for path in pack_images(tmp_path)}
    assert {path.read_bytes() for path in pack_images(tmp_path)} == set(before.values())
    keys = [video.key for video in find_videos(tmp_path)]
    assert keys == ["WildDeepfake/fake/train/2/fake/9", "WildDeepfake/real/train/1/real/4"]
    with av.open(str(tmp_path / "fake_train/2/fake/9.mkv")) as container:
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert len(frames) == 3
    for frame, i in zip(frames, (2, 10), strict=False):
        np.testing.assert_array_equal(frame, picture(f"fake_train/2/fake/9{i}"))
    assert not frames[2][32:].any()


def test_packing_needs_images(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No folders of images"):
        pack_images(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.png").write_bytes(b"broken")
    with pytest.raises(SourceError, match="can be read"):
        pack_images(tmp_path)


def test_sources_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sources"]) == 0
    assert "FaceForensics++" in capsys.readouterr().out
