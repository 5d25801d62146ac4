import tomllib

import pytest

from deepfake import __version__
from deepfake.__main__ import dispatch
from tests.conftest import ROOT


def test_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__


def test_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(["--version"]) == 0
    assert capsys.readouterr().out == f"deepfake {__version__}\n"
