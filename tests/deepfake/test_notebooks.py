"""Notebooks run from top to bottom, on the sample clips and a small checkpoint."""

import re
import shutil
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))
LIMIT_S = 300  # for one cell, on a busy machine

nbformat = pytest.importorskip("nbformat", reason="nbformat, of the extra dev, is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient, of the extra dev, is not installed")


def test_all_are_here() -> None:
    assert [name[:2] for name in NAMES] == ["01", "02", "03", "04"]


@pytest.mark.parametrize("name", NAMES)
def test_notebook_is_committed_without_output_and_functions(name: str) -> None:
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    for cell in notebook.cells:
        assert not re.search(r"^\s*(def|class) ", cell.source, re.MULTILINE)
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Jupyter's own parts
@pytest.mark.parametrize("name", NAMES)
def test_notebook_runs(
    name: str, checkpoint: Path, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(variable, "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    shutil.copytree(samples, tmp_path / "samples")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "runs" / "latest").mkdir(parents=True)
    shutil.copy(checkpoint, tmp_path / "runs" / "latest" / "best.ckpt")
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    notebook.metadata.kernelspec.name = "python3"
    client = nbclient.NotebookClient(
        notebook,
        timeout=LIMIT_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path / "notebooks")}},
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert any(output.output_type in ("display_data", "execute_result") for output in outputs)
