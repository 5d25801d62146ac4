import csv
import re
from pathlib import Path

import av
import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from deepfake.calibration import fit
from deepfake.checkpoints import loading as checkpoints
from deepfake.checkpoints.loading import Checkpoint
from deepfake.errors import DeepfakeError
from deepfake.evaluate import main
from deepfake.evaluation.faces import appearance, read_folders, score_crops
from deepfake.evaluation.scores import read_scores
from deepfake.recipe import InputRecipe
from preprocessing.crops.manifest import (
    FaceRow,
    VideoRecord,
    iter_records,
    write_atomically,
    write_manifest,
)
from preprocessing.types import FaceCrop, Image, PreprocessOptions, Video
from preprocessing.video import index_frames

BOX = (20.0, 16.0, 76.0, 72.0)


class Brightness:
    """Calls bright faces fake; stands for a network."""

    def score(self, faces: NDArray[np.float32]) -> NDArray[np.float64]:
        axes = tuple(range(1, faces.ndim))
        return np.asarray(faces.mean(axis=axes), dtype=np.float64)

    def warm_up(self) -> None:
        pass


def brightness(name: str, frames: int = 1) -> Checkpoint:
    recipe = InputRecipe(image_size=32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    options = PreprocessOptions(frames=4, margin=0.0)
    labels, scores = [0, 1] * 20, [0.3, 0.6] * 20
    calibration = fit(labels, scores)
    return Checkpoint(
        recipe,
        options,
        calibration,
        "mean",
        frames=frames,
        name=name,
        scorer=Brightness(),
        sha256="c0ffee",
    )


def write_video(path: Path, level: int, frames: int = 20) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 96, 96, "yuv420p"
        y, x = np.mgrid[:96, :96]
        for k in range(frames):
            texture = 25 * np.sin((x + k) / 3) * np.cos(y / 4)
            image = np.clip(level + texture, 0, 255)[..., None].repeat(3, axis=2).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four reals (darker), four fakes by two methods, and a real without a face."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "faces"
    for k in range(9):
        fake = k % 2
        path = root / f"clip{k}.mp4"
        write_video(path, 70 + 8 * k + 60 * fake)
        method = ("a", "b")[k // 2 % 2] if fake else "real"
        video = Video(
            path, f"clip{k}", "made up", method, "c23", 1 if fake else 0, (f"person {k % 3}",),
            split="test" if k > 3 else "train",
        )  # fmt: skip
        place = folder / "crops" / "made up" / method / f"clip{k}"
        place.mkdir(parents=True)
        index = index_frames(path)
        rows = []
        for frame in (2, 7, 12, 17) if k < 8 else ():
            image = np.full((56, 56, 3), 70 + 8 * k + 60 * fake, dtype=np.uint8)
            cv2.imwrite(str(place / f"{frame}.png"), image)
            row = FaceRow(f"{frame}.png", 0, frame, frame / 25, BOX, 0.99, (30.0,) * 10, BOX)
            rows.append(row)
        record = VideoRecord(video.key, video, index.info, 4, 4, 0, 0, {}, tuple(rows))
        write_atomically(place / "video.json", record.to_json().encode())
    crops = [crop for place, record in iter_records(folder) for crop in record.crops(place)]
    write_manifest(folder, crops)
    (folder / "options.json").write_text(
        '{"frames": 4, "margin": 0.0, "version": 1}', encoding="utf-8"
    )
    return folder


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(path: Path | None = None, *, device: str = "cpu") -> Checkpoint:
        return brightness("default" if path is None else str(path))

    monkeypatch.setattr(checkpoints, "load", load)


@pytest.mark.usefixtures("loaded")
def test_evaluates_as_a_user_does(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["--data", str(folder), "--out", str(out), "--repeats", "20"]
    assert main([*arguments, "--checkpoint", "runs/seed1/best.ckpt", "runs/seed2/best.ckpt"]) == 0
    shown = capsys.readouterr().out
    assert "| seed1/best | video | 1.000 " in shown
    assert "2 seeds | video | 1.000 ± 0.000 |" in shown
    scores = read_scores(out / "scores.parquet")
    assert set(scores.judges) == {"seed1/best", "seed2/best"}
    assert scores.judges["seed1/best"].aggregation == "mean"
    first = [video for video in scores.videos if video.checkpoint == "seed1/best"]
    assert len(first) == 9
    assert [len(video.faces) for video in first].count(0) == 1
    assert len({video.group for video in first}) == 3
    table = pq.read_table(out / "scores.parquet").to_pylist()
    face = next(row for row in table if row["score"] is not None and row["label"] == 1)
    assert face["face_size"] == 56
    assert face["brightness"] == pytest.approx(face["score"], abs=0.01)
    assert face["identities"][0].startswith("person")
    with (out / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    parts = {row["part"] for row in rows}
    assert {"method: a", "method: b", "split: test"} <= parts
    video = next(row for row in rows if row["level"] == "video" and row["measure"] == "auroc")
    assert (video["value"], video["unscored"]) == ("1.0", "1")
    assert float(video["low_video"]) < 1
    assert {row["rule"] for row in rows} >= {"selimsef_confident", "worst_person"}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "DeLong" in page
    assert not re.search(r"(?:src|href)=\"(?!data:)", page)
    for name in ("roc", "precision-recall", "reliability-seed1-best-on-made-up"):
        assert (out / "figures" / f"{name}.png").stat().st_size > 1000
        assert (out / "figures" / f"{name}.svg").stat().st_size > 1000
    assert r"\toprule" in (out / "tables" / "auroc.tex").read_text()

    # The report again, from the scores alone, is the same.
    again = tmp_path / "again"
    arguments = ["report", str(out / "scores.parquet"), "--out", str(again), "--repeats", "20"]
    assert main(arguments) == 0
    for name in ("report.html", "results.csv", "tables.md"):
        assert (again / name).read_bytes() == (out / name).read_bytes()


@pytest.mark.usefixtures("loaded")
def test_robustness_has_a_curve_for_each_damage(folder: Path, tmp_path: Path) -> None:
    arguments = ["--data", str(folder), "--split", "test", "--out", str(tmp_path)]
    assert main([*arguments, "--robustness", "--repeats", "20"]) == 0
    videos = read_scores(tmp_path / "scores.parquet").videos
    conditions = {(video.damage, video.level) for video in videos}
    assert len(conditions) == 1 + 1 + 8 * 5
    assert all(len(video.faces) == 4 for video in videos if video.damage)
    darker = [v.faces[0].score for v in videos if v.damage == "contrast" and "clip5" in v.video]
    assert darker == sorted(darker, reverse=True)
    undamaged = next(v for v in videos if v.damage == "none" and "clip5" in v.video)
    assert darker[2] == pytest.approx(0.6 * undamaged.faces[0].score, abs=0.01)
    text = (tmp_path / "tables.md").read_text(encoding="utf-8")
    assert "Mean relative drop" in text
    assert (tmp_path / "figures" / "robustness-default-on-made-up.svg").exists()


@pytest.mark.usefixtures("loaded")
def test_robustness_without_the_videos_says_so(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    moved = folder.parent / "clip5.mp4"
    hidden = moved.rename(moved.with_suffix(".away"))
    try:
        arguments = ["--data", str(folder), "--split", "test", "--out", str(tmp_path)]
        assert main([*arguments, "--robustness", "--repeats", "20"]) == 1
    finally:
        hidden.rename(moved)
    assert "clip5 is left out of robustness" in caplog.text


def test_predictions_of_others_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "theirs.csv"
    rows = [f"<img src=x>{k},{k % 2},{0.2 + 0.5 * (k % 2) + k / 100}" for k in range(20)]
    path.write_text("video,label,score,method\n" + "\n".join(f"{r},<b>$x" for r in rows))
    assert main(["report", str(path), "--out", str(tmp_path / "out"), "--repeats", "20"]) == 0
    assert "| theirs | video | 1.000" in capsys.readouterr().out
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<b>$x" not in page
    assert "&lt;b&gt;$x" in page


def test_one_class_is_reported_with_dashes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "fakes.csv"
    path.write_text("video,label,score\na,1,0.9\nb,1,\n")
    assert main(["report", str(path), "--out", str(tmp_path / "out"), "--repeats", "20"]) == 0
    assert "| fakes | video | – (1 of 2 scored) |" in capsys.readouterr().out


@pytest.mark.usefixtures("loaded")
def test_nothing_to_score_is_an_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DeepfakeError, match="No face of split val"):
        main(["--data", str(folder), "--split", "val", "--out", str(tmp_path)])
    with pytest.raises(DeepfakeError, match="No manifest"):
        main(["--data", str(tmp_path / "none"), "--out", str(tmp_path)])


def test_clips_of_a_temporal_network_share_their_score() -> None:
    crops = [
        FaceCrop("", "v", track, frame, 0.0, BOX, 1.0, np.zeros((5, 2), np.float32), BOX)
        for track, count in ((0, 5), (1, 1))
        for frame in range(count)
    ]

    def read(crop: FaceCrop) -> Image:
        return np.full((8, 8, 3), 51 * crop.frame, dtype=np.uint8)

    checkpoint = brightness("x", frames=3)
    found = list(score_crops(checkpoint, crops, read))
    assert [crop.frame for crop, _ in found] == [0, 1, 2, 3, 4, 0]
    scores = [score for _, (score, *_) in found]
    # Five faces are one clip, of which the first, third and fifth are taken.
    np.testing.assert_allclose(scores, [*[(0 + 0.4 + 0.8) / 3] * 5, 0], atol=1e-6)


def test_a_data_set_without_a_name_is_called_by_its_folder(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        crop = FaceCrop(
            "crops/1.png", "clip", 0, 0, 0.0, BOX, 1.0, np.zeros((5, 2), np.float32), BOX
        )
        write_manifest(tmp_path / name, [crop])
    found = read_folders([tmp_path / "first", tmp_path / "second"])
    assert [one.dataset for folder in found for one in folder.firsts()] == ["first", "second"]


def test_appearance_by_hand() -> None:
    flat = np.full((64, 64, 3), 51, dtype=np.uint8)
    np.testing.assert_allclose(appearance(flat), (0.0, 0.2))
    sharp = np.indices((128, 128)).sum(axis=0) % 2 * 255
    image = np.repeat(sharp[..., None], 3, axis=2).astype(np.uint8)
    blurred = np.asarray(cv2.GaussianBlur(image, (9, 9), 2), dtype=np.uint8)
    assert appearance(image)[0] > 100 * appearance(blurred)[0]
