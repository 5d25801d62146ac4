"""The example on each page of docs/extending goes through the verbs, from a folder of its own."""

import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from deepfake.__main__ import dispatch
from tests.conftest import ROOT

PAGES = sorted((ROOT / "docs" / "extending").glob("[!i]*.md"))
FILE = re.compile(r"```\w+\n# ([\w.]+)\n(.*?)```", re.DOTALL)
MESO4 = [
    "--model.network=deepfake.models.mesonet.Meso4",
    "--model.network.image_size=64",
    "--data.recipe.image_size=64",
]
QUICK = {
    "train": ["--trainer.max_epochs=1", "--data.num_workers=0", "--trainer.logger=false"],
    "evaluate": ["--repeats=10"],
}


@pytest.fixture
def folder(tmp_path: Path, samples: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a folder with crops, a clip, and videos of a list."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr("deepfake.web.page.launch", lambda *_, **__: None)
    shutil.copy(samples / "fake.mp4", "clip.mp4")
    Path("videos").mkdir()
    for label in ("real", "fake"):
        shutil.copy(samples / f"{label}.mp4", f"videos/{label}.mp4")
    Path("videos/list.txt").write_text("real real.mp4\nfake fake.mp4\n", encoding="utf-8")
    return tmp_path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_example_goes_through_every_verb(page: Path, folder: Path) -> None:
    pytest.importorskip("gradio", reason="needs the extra: pip install -e '.[app]'")
    text = page.read_text(encoding="utf-8")
    for name, contents in FILE.findall(text):
        Path(name).write_text(contents, encoding="utf-8")
    commands = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines()
    if not any(line.startswith("deepfake preprocess") for line in commands):
        shutil.copytree(ROOT / "tests" / "fixtures" / "faces", "data/faces")
    verbs = set()
    for line in commands:
        program, *words = shlex.split(line)
        if program == "python":
            runpy.run_path(words[0])
            continue
        more = [] if words[1:2] == ["report"] else QUICK.get(words[0], [])
        if words[0] == "train" and "network" not in text:  # a page on something else
            more = [*more, *MESO4]
        assert program == "deepfake"
        assert dispatch([*words, *more]) == 0, line
        verbs.add(words[0])
        for name in [name for name in sys.modules if name.startswith("my_")]:
            del sys.modules[name]  # as in a new process
    assert {"train", "evaluate", "predict", "export", "app"} <= verbs
