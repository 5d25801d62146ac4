from pathlib import Path

import pytest

from deepfake.errors import DeepfakeError
from deepfake.training.runs import link_latest, new_run


def test_runs_of_a_name_lie_beside_each_other_by_seed(tmp_path: Path) -> None:
    first, second = (new_run(tmp_path, name="meso", seed=seed) for seed in (1, 2))
    assert (first, second) == (tmp_path / "meso/seed1", tmp_path / "meso/seed2")
    link_latest(first)
    link_latest(second)
    assert (tmp_path / "latest").resolve() == second.resolve()
    link_latest(new_run(tmp_path))
    assert (tmp_path / "latest").resolve().parent == tmp_path.resolve()
    with pytest.raises(DeepfakeError, match="exists"):
        new_run(tmp_path, name="meso", seed=1)
    with pytest.raises(DeepfakeError, match="no folder of a run"):
        new_run(tmp_path, name="../x", seed=1)
