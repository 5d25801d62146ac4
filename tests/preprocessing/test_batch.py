import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from preprocessing.batch import BatchReport, local_engine, preprocess_videos
from preprocessing.crops.manifest import read_manifest, read_video_records
from preprocessing.crops.store import clean_temporary, locked, video_folder
from preprocessing.errors import DeepfakeError, ManifestError
from preprocessing.types import Image, PreprocessOptions, Video
from preprocessing.video.images import decode_image

OPTIONS = PreprocessOptions(frames=4)


def videos_in(samples: Path) -> list[Video]:
    return [
        Video(samples / "real.mp4", "a", method="real", label=0, identities=("eileen",)),
        Video(samples / "fake.mp4", "a", method="fake", label=1, source="real/a"),
    ]


def preprocess(videos: list[Video], out: Path, workers: int = 1) -> BatchReport:
    return preprocess_videos(videos, out, OPTIONS, local_engine(workers))


def contents(folder: Path) -> dict[str, bytes]:
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and "lock" not in p.name)
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


@pytest.fixture(scope="module")
def done(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("done") / "faces"
    preprocess(videos_in(samples), out)
    return out


def test_manifest_has_a_row_for_every_crop(done: Path) -> None:
    rows = read_manifest(done)
    assert [(r.video, r.track) for r in rows] == [("fake/a", 0)] * 4 + [("real/a", 0)] * 4
    real = rows[-1]
    assert (real.label, real.method, real.identities, real.source) == (0, "real", ("eileen",), None)
    assert rows[0].source == "real/a"
    crop = decode_image((done / real.path).read_bytes())
    x0, _, x1, _ = real.crop_box
    assert crop.shape == (x1 - x0, x1 - x0, 3)
    # The face with 0.3 of its longer side around it.
    longer = max(real.box[2] - real.box[0], real.box[3] - real.box[1])
    assert x1 - x0 == pytest.approx(1.6 * longer, abs=1)
    assert [r.time_s for r in rows[:4]] == pytest.approx([0.48, 1.48, 2.48, 3.48], abs=0.03)


def test_records_tell_what_was_read(done: Path) -> None:
    fake, real = read_video_records(done)
    assert (fake.key, real.key) == ("fake/a", "real/a")
    assert (real.wanted, real.read, real.corrupt, real.info.frames) == (4, 4, 0, 100)
    assert real.info.codec == "h264"


@pytest.mark.parametrize("workers", [1, 2])
def test_the_result_does_not_depend_on_workers_or_order(
    samples: Path, done: Path, tmp_path: Path, workers: int
) -> None:
    preprocess(videos_in(samples)[::-1], tmp_path / "faces", workers)
    assert contents(tmp_path / "faces") == contents(done)


def test_run_again_it_does_nothing(done: Path, samples: Path) -> None:
    before = contents(done)
    report = preprocess(videos_in(samples), done)
    assert (report.done, report.skipped, report.crops) == (2, 2, 8)
    assert contents(done) == before


def test_labels_given_later_are_taken(samples: Path, done: Path, tmp_path: Path) -> None:
    out = tmp_path / "faces"
    shutil.copytree(done, out)
    relabelled = [replace(video, split="val") for video in videos_in(samples)]
    report = preprocess(relabelled, out)
    assert report.skipped == 2
    assert {row.split for row in read_manifest(out)} == {"val"}


def test_a_changed_video_is_done_again(samples: Path, tmp_path: Path) -> None:
    source = tmp_path / "a.mp4"
    shutil.copy(samples / "real.mp4", source)
    video = Video(source, "a")
    preprocess([video], tmp_path / "faces")
    shutil.copy(samples / "fake.mp4", source)
    assert preprocess([video], tmp_path / "faces").skipped == 0


def test_bad_videos_are_listed_and_the_others_done(
    samples: Path,
    tmp_path: Path,
    make_video: Callable[..., Path],
    make_numbered: Callable[..., list[Image]],
) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    make_video(tmp_path / "grey.mp4", make_numbered(10))
    videos = [
        Video(tmp_path / "text.mp4", "text"),
        Video(tmp_path / "grey.mp4", "grey"),
        Video(tmp_path / "none.mp4", "none"),
        Video(samples / "real.mp4", "good"),
    ]
    report = preprocess(videos, tmp_path / "faces")
    assert (report.done, report.crops) == (2, 4)
    with (tmp_path / "faces" / "failures.csv").open() as file:
        rows = {row["video"]: row for row in csv.DictReader(file)}
    assert {key: row["stage"] for key, row in rows.items()} == {
        "text": "decode",
        "grey": "faces",
        "none": "decode",
    }
    assert "no face in" in rows["grey"]["reason"]


def test_other_options_are_refused(samples: Path, done: Path) -> None:
    other = replace(OPTIONS, margin=0.1)
    with pytest.raises(ManifestError, match=r"margin 0.3 \(now 0.1\)"):
        preprocess_videos(videos_in(samples), done, other, local_engine(1))


def test_two_runs_into_one_folder(samples: Path, tmp_path: Path) -> None:
    with (
        locked(tmp_path / "faces", ".lock"),
        pytest.raises(ManifestError, match="being written by another run"),
    ):
        preprocess(videos_in(samples), tmp_path / "faces")


def test_two_videos_of_one_key(samples: Path, tmp_path: Path) -> None:
    videos = [Video(samples / "real.mp4", "a"), Video(samples / "fake.mp4", "a")]
    with pytest.raises(DeepfakeError, match="same key 'a'"):
        preprocess(videos, tmp_path)


def test_folders_of_strange_names_stay_inside(tmp_path: Path) -> None:
    names = ["../../etc/passwd", "a/b", "a_b", "x" * 300, "<img src=x>", "ü\udcff", "..", ""]
    folders = {video_folder(Video(tmp_path, name or "x", dataset="d/../..")) for name in names}
    assert len(folders) == len(names)
    for folder in folders:
        assert (tmp_path / folder).resolve().is_relative_to(tmp_path / "crops")
        assert all(len(part) < 100 for part in folder.split("/"))


@pytest.mark.slow
def test_killed_at_any_moment_and_run_again_the_result_is_the_same(
    samples: Path, done: Path, tmp_path: Path
) -> None:
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "import test_batch as t\n"
        "t.preprocess(t.videos_in(Path(sys.argv[2])), Path(sys.argv[3]))"
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parent), str(samples)]
    out = tmp_path / "faces"
    rng = np.random.default_rng(0)
    for _ in range(8):
        process = subprocess.Popen([*command, str(out)], stderr=subprocess.DEVNULL)
        time.sleep(float(rng.uniform(0.2, 2.5)))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        for record in out.glob("crops/**/video.json"):  # complete or absent, at every moment
            files = {face["file"] for face in json.loads(record.read_text())["faces"]}
            assert files == {p.name for p in record.parent.iterdir()} - {"video.json"}
    preprocess(videos_in(samples), out)
    clean_temporary(out)
    assert contents(out) == contents(done)


def test_boxes_of_the_original_are_reused(samples: Path, tmp_path: Path) -> None:
    out = tmp_path / "faces"
    preprocess_videos(videos_in(samples), out, OPTIONS, local_engine(1), reuse_boxes=True)
    fake, real = read_video_records(out)
    assert [face.box for face in fake.faces] == [face.box for face in real.faces]
    assert len(fake.faces) == 4
    rows = {row.method: row for row in read_manifest(out)}
    real_crop, fake_crop = ((out / rows[m].path).read_bytes() for m in ("real", "fake"))
    assert decode_image(real_crop).shape == decode_image(fake_crop).shape
    assert real_crop != fake_crop


def test_boxes_are_not_reused_where_the_frames_are_others(
    samples: Path, tmp_path: Path, make_video: Callable[..., Path]
) -> None:
    import av

    with av.open(str(samples / "fake.mp4")) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    shorter = make_video(tmp_path / "fake.mp4", frames[:60])
    real, fake = videos_in(samples)
    videos = [real, replace(fake, path=shorter)]
    out = tmp_path / "faces"
    preprocess_videos(videos, out, OPTIONS, local_engine(1), reuse_boxes=True)
    ours, original = read_video_records(out)
    assert len(ours.faces) == 4
    assert [face.frame for face in ours.faces] != [face.frame for face in original.faces]
