import json
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from deepfake.calibration import Calibration
from deepfake.checkpoints.loading import sha256
from deepfake.errors import DeepfakeError
from deepfake.evaluation.stacking import Stack
from deepfake.types import Verdict, VerdictLabel
from deepfake.web.jobs import Jobs, Wish, checkpoint_choices, headline
from deepfake.web.page import framed
from preprocessing.limits import Limits

NASTY = "<img src=x onerror=alert(1)>.mp4"


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path, Limits(duration_s=60.0))


def uploaded(jobs: Jobs, clip: Path, name: str) -> Path:
    folder = jobs.folder / "upload"
    folder.mkdir()
    return Path(shutil.copyfile(clip, folder / name))


def test_a_clip_is_judged_again_until_it_is_old_and_its_name_harms_nothing(
    jobs: Jobs, checkpoint: Path, samples: Path
) -> None:
    clip = uploaded(jobs, samples / "fake.mp4", NASTY)
    told: list[tuple[float, str]] = []
    jobs.judge(clip, Wish((str(checkpoint),)))
    wish = Wish((str(checkpoint),), "mean", start_s=1.0, end_s=3.0, frames=2, person=1)
    found = jobs.judge(clip, wish, lambda *step: told.append(step))
    assert jobs.find(found.id) == found
    assert jobs.find("result-" + "0" * 32) is None
    assert jobs.find("../" + found.id) is None
    assert [part for part, _ in told] == sorted(part for part, _ in told)
    verdict = json.loads(found.verdict_json.read_text())
    assert verdict["video"] == found.name == NASTY
    assert verdict["provenance"]["aggregation"] == "mean"
    assert verdict["provenance"]["preprocess"]["frames"] == 2  # shots get some beside these
    assert verdict["faces"]
    assert all(1 <= face["time_s"] <= 3 for face in verdict["faces"])
    assert found.report.read_text(encoding="utf-8") == found.page
    for text in (found.headline, found.page, framed(found.page), str(found.report)):
        assert "<img src=x" not in text
    assert framed(found.page).count("<") == 2, "everything of the page must be escaped"
    with pytest.raises(DeepfakeError, match=r"onerror.*has no frame from 30 s; it lasts 4\.0 s"):
        jobs.judge(clip, Wish((str(checkpoint),), start_s=30.0))
    with pytest.raises(DeepfakeError, match="the end, 1 s, is not after the start, 3 s"):
        jobs.judge(clip, Wish((str(checkpoint),), start_s=3.0, end_s=1.0))
    assert clip.exists(), "a wrong wish costs no other upload"
    again = jobs.judge(clip, Wish((str(checkpoint),), frames=2, language="ar"))
    assert "غير معاير" in again.headline
    assert "--" not in again.headline, "a command is nothing for a page"
    os.utime(clip.parent, (0, 0))
    jobs.remove_old()
    assert not clip.exists()
    with pytest.raises(DeepfakeError, match="drop it again"):
        jobs.judge(clip, wish)


@pytest.mark.parametrize(
    ("label", "score", "reason", "told"),
    [
        ("fake", 0.97, "", "fake, score 0.97; real below 0.10, fake from 0.43."),
        ("undecided", 0.3, "it is too near", "undecided, score 0.30; real below 0.10, fake from "
         "0.43: it is too near."),
        ("undecided", None, "no face found in 32 frames", "no face found in 32 frames."),
    ],
)  # fmt: skip
def test_a_headline_says_why_in_one_sentence(
    label: VerdictLabel, score: float | None, reason: str, told: str
) -> None:
    verdict = Verdict("a.mp4", label, score, 0.5, reason=reason, real_below=0.1, fake_from=0.43)
    text = re.sub(r"<ul>.*</ul>|<strong>.*</strong>|<[^>]+>", "", headline(verdict))
    assert text == f"a.mp4: {told}"


def test_a_broken_clip_is_told_by_its_name(jobs: Jobs, checkpoint: Path) -> None:
    source = jobs.folder / "source.mp4"
    source.write_bytes(b"no video" * 100)
    clip = uploaded(jobs, source, "holiday.mp4")
    with pytest.raises(DeepfakeError, match=r"holiday\.mp4 cannot be judged") as error:
        jobs.judge(clip, Wish((str(checkpoint),)))
    assert str(jobs.folder) not in str(error.value)


def test_only_what_is_old_is_removed(jobs: Jobs) -> None:
    old, new = jobs.folder / "result-old", jobs.folder / "result-new"
    for folder in (old, new):
        folder.mkdir()
    os.utime(old, (time.time() - 1000, time.time() - 1000))
    jobs.remove_old()
    assert (old.exists(), new.exists()) == (False, True)


def test_a_checkpoint_that_is_none_is_told_before_the_page_is_there(tmp_path: Path) -> None:
    with pytest.raises(DeepfakeError, match="No checkpoint at"):
        checkpoint_choices([tmp_path / "none.ckpt"])


def test_several_checkpoints_judge_side_by_side(
    checkpoint: Path, contents: dict[str, Any], samples: Path, tmp_path: Path
) -> None:
    second = tmp_path / "second.ckpt"
    contents["state_dict"] = {k: v * 1.1 for k, v in contents["state_dict"].items()}
    torch.save(contents, second)
    both = (str(checkpoint), str(second))
    keys = tuple(sha256(Path(path)) for path in both)
    weights = {"0": (1.0, 0.0), "1": (1.0, 0.0), "0,1": (0.5, 0.5, 0.0)}
    stack = Stack(keys, weights, Calibration(low=0.2, high=0.9), {})
    (tmp_path / "jobs").mkdir()
    jobs = Jobs(tmp_path / "jobs", Limits(duration_s=60.0), stack)
    clip = uploaded(jobs, samples / "fake.mp4", "fake.mp4")
    found = jobs.judge(clip, Wish(both))
    verdict = json.loads(found.verdict_json.read_text())
    assert [method["method"] for method in verdict["methods"]] == list(both)
    assert verdict["provenance"]["panel"]["stack"] == stack.to_dict()
    assert "Each method by itself" in found.page
    alone = json.loads(jobs.judge(clip, Wish(both[:1])).verdict_json.read_text())
    assert not alone["methods"]
    assert "panel" not in alone["provenance"]
    with pytest.raises(DeepfakeError, match="Choose a checkpoint first"):
        jobs.judge(clip, Wish(()))
