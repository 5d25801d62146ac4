import numpy as np

from deepfake.calibration import Calibration
from deepfake.evaluation.scores import ScoredVideo
from deepfake.types import FaceScore
from preprocessing.types import Label
from recipes.default_model.unlike import left_out, rates, table, together


def video(number: int, label: Label, score: float, dataset: str) -> ScoredVideo:
    faces = tuple(FaceScore(score, 0, frame) for frame in range(4))
    about = ("one", "", 0, dataset, "", "", f"{dataset}/{number}", f"{number}", label, None)
    return ScoredVideo(*about, faces)


def test_what_is_far_off_and_wrong_is_held_back() -> None:
    rng = np.random.default_rng(0)
    videos, features = [], {}
    for number in range(240):
        label: Label = 1 if number % 2 else 0
        one = video(number, label, 0.93 if label else 0.07, "ab"[number % 4 // 2])
        videos.append(one)
        features[one.video] = rng.normal(size=8).astype(np.float32)
    for number in range(10):  # real, called fake, and like nothing else
        one = video(number, 0, 0.95, "odd")
        videos.append(one)
        features[one.video] = (rng.normal(size=8) + 30).astype(np.float32)
    found = left_out(videos, features, false_alarms=0.05, target_error=0.15)
    odd = found[-10:]
    assert all(one.wrong and one.likeness < 0.05 for one in odd)
    _, _, without, kept, held = table(found).splitlines()
    assert without.startswith("| without the gauge | 10 of ")
    assert kept.startswith("| with it | 0 of ")
    assert held.startswith("| held back by it | 10 of ")


def test_limits_and_gauge_of_all_together() -> None:
    rng = np.random.default_rng(1)
    videos = [video(k, 1 if k % 2 else 0, 0.9 if k % 2 else 0.1, "a") for k in range(200)]
    features = {one.video: rng.normal(size=8).astype(np.float32) for one in videos}
    features["a/0"] += 40
    fitted = Calibration(method="temperature", low=0.2, high=0.8, reals=100, fakes=100)
    found = together(videos, features, fitted)
    assert min(found, key=lambda one: one.likeness) is found[0]
    held = sum(one.likeness < 0.05 for one in found)
    assert 1 <= held <= 10  # one in twenty
    reals, fakes = rates(found).splitlines()
    assert reals.startswith("reals: 0 of 100 called fake [0.000, ")
    assert "0 real" in fakes
    undecided = sum(int(line.split()[-2]) for line in (reals, fakes))
    assert undecided == held
