import math
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from deepfake.aggregation import Max, WorstPerson
from deepfake.training.metrics import VideoMetrics


def faces() -> dict[str, Tensor]:
    # Video 0: a real person and one that looks fake; videos 1 and 3 real, video 2 fake.
    return {
        "logits": torch.tensor([-2.0, -2.0, 1.0, 1.0, -1.0, 0.5, 2.0, -3.0]),
        "labels": torch.tensor([1, 1, 1, 1, 0, 0, 1, 0]),
        "videos": torch.tensor([0, 0, 0, 0, 1, 1, 2, 3]),
        "tracks": torch.tensor([0, 0, 1, 1, 0, 0, 0, 0]),
        "samples": torch.arange(8),
    }


def test_videos_are_scored_by_their_worst_person() -> None:
    metrics = VideoMetrics("val/", WorstPerson())
    for part in (slice(0, 3), slice(3, 8)):
        metrics.update(**{name: value[part] for name, value in faces().items()})
    found = metrics.compute()
    # Video logits 1, -0.25, 2, -3 against labels 1, 0, 1, 0.
    assert found["val/video_auroc"] == 1.0
    assert found["val/video_accuracy"] == 1.0
    assert found["val/videos"] == 4
    losses = [math.log1p(math.exp(logit)) for logit in (-1.0, -0.25, -2.0, -3.0)]
    assert found["val/video_log_loss"] == pytest.approx(sum(losses) / 4, abs=1e-6)
    # Of 5 x 3 pairs of faces, -2 twice against -1 and 0.5 are wrong.
    assert found["val/face_auroc"] == pytest.approx(11 / 15)


def test_another_rule_may_score_the_videos() -> None:
    metrics = VideoMetrics(rule=Max())
    metrics.update(**faces())
    assert metrics.compute()["video_accuracy"] == 0.75  # the 0.5 of video 1 is now called fake


def test_repeated_samples_count_once() -> None:
    once, padded, unnumbered = VideoMetrics(), VideoMetrics(), VideoMetrics()
    once.update(**faces())
    padded.update(**faces())
    padded.update(**{name: value[:3] for name, value in faces().items()})
    assert padded.compute() == once.compute()
    unnumbered.update(**{name: value for name, value in faces().items() if name != "samples"})
    assert unnumbered.compute() == once.compute()


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_nan_without_a_crash(label: int) -> None:
    metrics = VideoMetrics()
    metrics.update(
        torch.zeros(2), torch.full((2,), label), torch.tensor([0, 1]), torch.zeros(2).long()
    )
    found = metrics.compute()
    assert math.isnan(found["video_auroc"])
    assert math.isnan(found["face_auroc"])
    assert found["video_log_loss"] == pytest.approx(math.log(2))


def test_faces_without_a_finite_logit_are_not_judged() -> None:
    metrics = VideoMetrics()
    broken = faces()
    broken["logits"][7] = torch.nan
    metrics.update(**broken)
    assert metrics.compute()["videos"] == 3


def test_half_precision_and_reset() -> None:
    metrics = VideoMetrics()
    half = faces()
    half["logits"] = half["logits"].to(torch.bfloat16)
    metrics.update(**half)
    assert metrics.compute()["video_auroc"] == 1.0
    metrics.reset()
    metrics.update(**{name: value[:1] for name, value in faces().items()})
    assert metrics.compute()["videos"] == 1


def _process(rank: int, rendezvous: str, answers: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    metrics = VideoMetrics()
    # Strided as by DistributedSampler, padded by one repeated sample to unequal lengths.
    rows = torch.arange(rank, 8, 2) if rank else torch.tensor([0, 2, 4, 6, 1])
    metrics.update(**{name: value[rows] for name, value in faces().items()})
    torch.save((metrics.videos_judged(), metrics.compute()), f"{answers}{rank}")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_measure_what_one_does(tmp_path: Path) -> None:
    one = VideoMetrics()
    one.update(**faces())
    answers = str(tmp_path / "answer")
    arguments = (str(tmp_path / "rendezvous"), answers)
    spawn(_process, args=arguments, nprocs=2)  # type: ignore[no-untyped-call]
    for rank in range(2):
        judged, measured = torch.load(f"{answers}{rank}")
        assert sorted(zip(*judged, strict=True)) == sorted(zip(*one.videos_judged(), strict=True))
        assert measured == one.compute()


@pytest.mark.parametrize("lowest", [16.2, 40.0, 200.0, -60.0])
def test_confident_scores_keep_their_order(lowest: float) -> None:
    metrics, number = VideoMetrics(), 21
    logits = lowest + torch.arange(number) * 0.2
    nothing = torch.zeros(number).long()
    metrics.update(logits, (torch.arange(number) >= 10).long(), torch.arange(number), nothing)
    found = metrics.compute()
    assert (found["face_auroc"], found["video_auroc"], found["video_ap"]) == (1, 1, 1)
    assert found["video_eer"] == 0
