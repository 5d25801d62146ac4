"""The curve of error over domains: known answers on made numbers."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from preprocessing.crops.manifest import OPTIONS, crop_file, read_manifest, write_manifest
from preprocessing.types import FaceCrop, Label
from recipes.research.scaling import ScalingError, domains_of, errors_of, fit, main, sizes, subset

N = np.repeat([1, 2, 4, 8], 3)


def test_a_curve_without_noise_is_found_exactly() -> None:
    curve = fit(N, 0.4 * N**-0.3)
    assert curve.a == pytest.approx(0.4, abs=1e-9)
    assert curve.alpha == pytest.approx(0.3, abs=1e-9)
    assert (curve.alpha_low, curve.alpha_high) == pytest.approx((0.3, 0.3), abs=1e-6)
    assert curve(16) == pytest.approx(0.4 * 16**-0.3, abs=1e-9)


def test_two_numbers_of_domains_by_hand() -> None:
    # Half the error with twice the domains: alpha is 1.
    curve = fit([1, 1, 2, 2], [0.4, 0.4, 0.2, 0.2])
    assert (curve.a, curve.alpha) == pytest.approx((0.4, 1.0), abs=1e-9)


@pytest.mark.parametrize("alpha", [0.0, 0.35])
def test_intervals_hold_the_truth(alpha: float) -> None:
    held = np.zeros(2)
    for seed in range(200):
        noise = np.exp(np.random.default_rng(seed).normal(0, 0.15, N.size))
        found = fit(N, 0.3 * N**-alpha * noise, draws=400)
        held += (found.alpha_low <= alpha <= found.alpha_high, found.a_low <= 0.3 <= found.a_high)
    assert (held >= 184).all()  # of 200 at 95 %, less two deviations


def test_what_cannot_be_fitted_is_said() -> None:
    with pytest.raises(ScalingError, match="four runs"):
        fit([1, 2, 4], [0.3, 0.2, 0.1])
    with pytest.raises(ScalingError, match="two numbers"):
        fit([2, 2, 2, 2], [0.3, 0.2, 0.1, 0.2])
    with pytest.raises(ScalingError, match="above 0"):
        fit([1, 1, 2, 2], [0.3, 0.2, 0.1, 0.0])


def test_sizes_double_up_to_all() -> None:
    assert [sizes(n) for n in (1, 2, 3, 8)] == [[1], [1, 2], [1, 2, 3], [1, 2, 4, 8]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "faces"
    box, points = (0.0, 0.0, 9.0, 9.0), np.zeros((5, 2), dtype=np.float32)

    def crop(name: str, label: Label, method: str) -> FaceCrop:
        path = f"crops/{method}/{name}/0.png"
        return FaceCrop(path, f"set/{method}/{name}", 0, 0, 0.0, box, 1.0, points, box, label,
                        method=method, dataset="set")  # fmt: skip

    rows = [crop(str(k), 0, "real") for k in range(3)]
    rows += [crop(str(k), 1, method) for method in "abcd" for k in range(2)]
    for row in rows:
        (folder / row.path).parent.mkdir(parents=True)
        (folder / row.path).write_bytes(row.video.encode())
    (folder / OPTIONS).write_text("{}", encoding="utf-8")
    write_manifest(folder, rows)
    return folder


def test_a_subset_has_its_methods_and_all_reals(data: Path, tmp_path: Path) -> None:
    assert domains_of(data) == ["a", "b", "c", "d"]
    out = subset(data, ["a", "c"], tmp_path / "some")
    assert {crop.method for crop in read_manifest(out)} == {"real", "a", "c"}
    assert sum(crop.label == 0 for crop in read_manifest(out)) == 3
    for crop in read_manifest(out):
        assert crop_file(out, crop.path).read_bytes() == crop.video.encode()  # as training reads
    assert not (out / "crops/b").exists()
    with pytest.raises(ScalingError, match="1 dataset"):
        domains_of(data, "dataset")


def test_every_seed_begins_with_another_method_and_runs_are_kept(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    trained: dict[str, list[str]] = {}

    def train(arguments: Sequence[str]) -> int:
        options = dict(zip(arguments[::2], arguments[1::2], strict=True))
        run = Path("runs") / options["--name"] / f"seed{options['--seed_everything']}"
        run.mkdir(parents=True)
        (run / "best.ckpt").touch()
        crops = read_manifest(Path(options["--data.root"]))
        trained[str(run)] = sorted({crop.method for crop in crops if crop.label})
        assert options["--trainer.max_epochs"] == "1"
        return 0

    def measure(checkpoint: Path, test: Path, out: Path) -> float:
        assert test == Path("elsewhere")
        assert out.parent == checkpoint.parent
        return float(0.5 / len(trained[str(checkpoint.parent)]))

    asked = ["--trainer.max_epochs", "1"]
    rows = errors_of(data, Path("elsewhere"), "more", asked, train=train, measure=measure)
    assert [row[:2] for row in rows] == [(size, seed) for size in (1, 2, 4) for seed in (1, 2, 3)]
    assert [trained[f"runs/more-1/seed{seed}"] for seed in (1, 2, 3)] == [["a"], ["b"], ["c"]]
    assert trained["runs/more-2/seed3"] == ["c", "d"]
    count = len(trained)
    errors_of(data, Path("elsewhere"), "more", asked, train=train, measure=measure)
    assert len(trained) == count
    with Path("errors.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("domains", "seed", "error"), *rows])
    main(["--fit", "errors.csv"])
    shown = capsys.readouterr().out
    assert "A 0.500 [0.500, 0.500], alpha 1.000 [1.000, 1.000]" in shown
    assert "8 domains: not measured, by the curve 0.06" in shown
