"""Learning new fakes beside old ones: what is replayed, what pulls, and when it is refused."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning import LightningModule

from deepfake import train
from deepfake.calibration import Calibration
from deepfake.evaluation import run
from deepfake.evaluation.delong import DeLong
from deepfake.evaluation.scores import Judge, ScoredVideo, Scores
from deepfake.types import FaceScore
from preprocessing.crops.manifest import OPTIONS, crop_file, read_manifest, write_manifest
from preprocessing.types import FaceCrop, Label
from recipes.research.top_up import Change, DistancePenalty, change, join, main

BOX, POINTS = (0.0, 0.0, 9.0, 9.0), np.zeros((5, 2), dtype=np.float32)


class Line(LightningModule):
    """A weight that learns and one that does not."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
        self.fixed = torch.nn.Parameter(torch.tensor([5.0]), requires_grad=False)


def test_the_penalty_pulls_to_the_start() -> None:
    module, trainer = Line(), object()
    penalty = DistancePenalty(strength=0.5)
    penalty.on_fit_start(trainer, module)  # type: ignore[arg-type]
    with torch.no_grad():
        module.weight.add_(torch.tensor([0.2, -1.0]))
    module.weight.grad = torch.tensor([1.0, 1.0])
    penalty.on_after_backward(trainer, module)  # type: ignore[arg-type]
    # Of 0.5 / 2 (w - w0)^2: 0.5 (w - w0), beside the loss's.
    torch.testing.assert_close(module.weight.grad, torch.tensor([1.1, 0.5]))
    assert module.fixed.grad is None


def folder(path: Path, name: str, videos: int, each: int, options: str = "{}") -> Path:
    (path / "crops").mkdir(parents=True)
    rows = []
    for k in range(videos):
        for frame in range(each):
            crop = f"crops/{k}-{frame}.png"
            (path / crop).write_bytes(name.encode())
            rows.append(FaceCrop(crop, f"{name}/{k}", 0, frame, 0.0, BOX, 1.0, POINTS, BOX, 1))
    write_manifest(path, rows)
    (path / OPTIONS).write_text(options, encoding="utf-8")
    return path


def test_old_videos_are_replayed_whole(tmp_path: Path) -> None:
    old = folder(tmp_path / "old", "old", videos=20, each=5)
    new = folder(tmp_path / "new", "new", videos=3, each=4)
    out = join(old, new, tmp_path / "both", replay=2.0)
    found = read_manifest(out)
    names = [crop.video.split("/")[0] for crop in found]
    assert names.count("new") == 12
    assert names.count("old") == 25  # five whole videos: the first number that reaches 24
    for crop in found:
        there = crop_file(out, crop.path)  # as training reads
        assert there.read_bytes() == crop.video.split("/")[0].encode()
    again = read_manifest(join(old, new, tmp_path / "both", replay=2.0))
    assert [crop.path for crop in again] == [crop.path for crop in found]
    with pytest.raises(ValueError, match="other options"):
        join(old, folder(tmp_path / "x", "x", 1, 1, options="[]"), tmp_path / "both")


def scored(reals: Sequence[float], fakes: Sequence[float], threshold: float = 0.5) -> Scores:
    videos = []
    for label, scores in ((0, reals), (1, fakes)):
        for k, score in enumerate(scores):
            kind: Label = 1 if label else 0
            face = FaceScore(score, track=0, frame=0)
            videos.append(ScoredVideo("it", "", 0, "set", "", "", f"{label}{k}", f"{label}{k}",
                                      kind, None, (face,)))  # fmt: skip
    return Scores(tuple(videos), {"it": Judge(Calibration(threshold=threshold))})


def test_changes_by_hand() -> None:
    before = scored([0.1, 0.2, 0.6], [0.7, 0.5, 0.9])
    after = scored([0.1, 0.3, 0.4], [0.7, 0.8, 0.9], threshold=0.35)
    found = change("old", before, after)
    assert (found.reals, found.alarms) == (3, (1, 1))  # each by its own threshold
    assert (found.test.first, found.test.second) == pytest.approx((8 / 9, 1))
    assert found.objection(old=True) == ""


@pytest.mark.parametrize(
    ("alarms", "fall", "p", "old", "refused"),
    [
        ((3, 4), 0.0, 1.0, False, "4 of 50 reals are called fake, 3 before"),
        ((3, 3), 0.0, 1.0, True, ""),
        ((3, 2), 0.2, 0.01, True, "AUROC 0.900 to 0.700"),
        ((3, 2), 0.2, 0.20, True, ""),  # no more than chance
        ((3, 2), -0.05, 0.01, True, ""),  # it has risen
        ((3, 2), 0.2, 0.01, False, ""),  # the new set is judged by its false alarms alone
    ],
)
def test_what_is_refused(
    alarms: tuple[int, int], fall: float, p: float, old: bool, refused: str
) -> None:
    test = DeLong(0.9, 0.9 - fall, fall, fall - 0.1, fall + 0.1, p, 50)
    text = Change("set", test, 50, alarms).objection(old=old)
    assert bool(text) == bool(refused)
    assert refused in text


@pytest.mark.parametrize("spoilt", [False, True])
def test_a_spoilt_checkpoint_is_not_accepted(
    spoilt: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    old, new = (folder(tmp_path / name, name, 3, 2) for name in ("old", "new"))
    (tmp_path / "first.ckpt").write_bytes(b"first")

    def trained(arguments: Sequence[str]) -> int:
        assert Path(arguments[arguments.index("--model.start_from") + 1]).read_bytes() == b"first"
        assert any("top_up.DistancePenalty" in argument for argument in arguments)
        latest = Path("runs/latest")
        latest.mkdir(parents=True)
        (latest / "best.ckpt").write_bytes(b"second")
        return 0

    def evaluated(checkpoint: Path, folders: Sequence[Path], **_: object) -> Scores:
        if checkpoint.read_bytes() == b"first":
            return scored([0.1, 0.2, 0.3], [0.4, 0.9, 0.8])
        worse = spoilt and folders[0].name == "old"
        return scored([0.1, 0.2, 0.7 if worse else 0.3], [0.6, 0.9, 0.8])

    monkeypatch.setattr(train, "main", trained)
    monkeypatch.setattr(run, "evaluate", evaluated)
    options = ["--checkpoint", "first.ckpt", "--old", str(old), "--new", str(new)]
    options += ["--old-test", str(old), "--new-test", str(new), "--out", "out"]
    assert main([*options, "--", "--trainer.max_epochs", "1"]) == int(spoilt)
    assert not Path("runs").exists()  # the user's latest run is what it was
    accepted = Path("out/accepted.ckpt")
    assert accepted.exists() != spoilt
    text = Path("out/report.md").read_text(encoding="utf-8")
    if spoilt:
        assert "Refused. old: 1 of 3 reals are called fake, 0 before." in text
    else:
        assert accepted.read_bytes() == b"second"
        assert "| old | 1.000 | 1.000 |" in text
        assert text.endswith("Accepted.\n")


def test_a_judge_without_calibration_is_measured_at_a_half() -> None:
    plain = scored([0.1, 0.6], [0.7, 0.8])
    judges = {"it": Judge()}
    found = change("old", replace(plain, judges=judges), replace(plain, judges=judges))
    assert found.alarms == (1, 1)
