"""What imports what, and how quickly a command answers."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def parsed(path: Path) -> ast.Module:
    text = path.read_text(encoding="utf-8")
    for _ in range(9):
        try:
            return ast.parse(text)
        except SystemError:  # Python 3.11 counts the depth of all threads together: gh-106905
            continue
    return ast.parse(text)


def imported(folder: str) -> dict[Path, set[str]]:
    modules: dict[Path, set[str]] = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        names: set[str] = set()
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module)
        modules[path] = names
    assert modules
    return modules


def tops(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def test_preprocessing_never_imports_deepfake() -> None:
    assert not {p for p, names in imported("preprocessing").items() if "deepfake" in tops(names)}


def test_networks_know_neither_lightning_nor_data() -> None:
    for path, names in imported("deepfake/models").items():
        assert not tops(names) & {"pytorch_lightning", "lightning", "preprocessing"}, path
        assert not {n for n in names if n.startswith("deepfake.data")}, path


def importers(name: str) -> set[str]:
    """Return the files of the package that import a module or what is in it."""
    return {
        str(path.relative_to(ROOT))
        for path, names in imported("deepfake").items()
        if any(f"{found}.".startswith(f"{name}.") for found in names)
    }


def test_only_checkpoints_know_the_published_ones() -> None:
    found = importers("deepfake.checkpoints.published")
    assert found
    places = ("deepfake/checkpoints/", "deepfake/published/")  # the second is the old one
    assert all(path.startswith(places) for path in found)
    # Within, one file alone knows the families: resuming a run imports no stranger.
    outside = {path for path in found if "/published/" not in path}
    assert outside == {"deepfake/checkpoints/loading.py"}


def test_only_commands_speak_to_the_console() -> None:
    parts = ("console", "inputs", "limits")  # the fourth, `outside`, says nothing to it
    found = {path for part in parts for path in importers(f"deepfake.cli.{part}")}
    found = {path for path in found if not path.startswith("deepfake/cli/")}
    # The page serves until it is stopped, and an evaluation takes hours: both show what they do.
    found -= {"deepfake/web/page.py", "deepfake/evaluation/run.py"}
    assert found
    for path in found:
        assert '__name__ == "__main__"' in (ROOT / path).read_text(encoding="utf-8"), path


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return done.stdout + done.stderr


def test_preprocessing_and_the_onnx_path_import_no_torch() -> None:
    code = (
        "import sys, preprocessing.batch, preprocessing.workers.local, deepfake.predict, "
        "deepfake.inference.predictor, deepfake.cli.inputs\n"
        "print({'torch', 'torchvision', 'timm', 'matplotlib', 'pytorch_lightning'} "
        "& set(sys.modules))"
    )
    assert run(code).strip() == "set()"


PLAIN = ("aggregation", "calibration", "timeline", "recipe", "types", "inference.faces")


@pytest.mark.parametrize("module", PLAIN)
def test_from_a_crop_to_a_verdict_is_no_torch(module: str) -> None:
    code = (
        f"import sys, deepfake.{module}\nprint({{'torch', 'pytorch_lightning'}} & set(sys.modules))"
    )
    assert run(code).strip() == "set()"


@pytest.mark.parametrize(
    "module", ["deepfake", "deepfake.training.module", "deepfake.data.datamodule"]
)
def test_importing_prints_nothing(module: str) -> None:
    assert run(f"import {module}") == ""


@pytest.mark.parametrize("verb", ["preprocess", "train", "predict", "evaluate"])
def test_help_imports_nothing_heavy(verb: str) -> None:
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['{verb}', '--help']\n"
        "try:\n"
        f"    runpy.run_module('deepfake.{verb}', run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "print({'torch', 'cv2', 'sklearn', 'pyarrow', 'matplotlib', 'onnxruntime'} "
        "& set(sys.modules))"
    )
    printed = run(code)
    assert printed.startswith("usage: ")
    assert printed.strip().endswith("set()")


def test_the_root_stays_small() -> None:
    files = [path.name for path in (ROOT / "deepfake").iterdir() if path.is_file()]
    assert len(files) <= 22, sorted(files)
