import tomllib

from deepfake import __version__
from tests.conftest import ROOT


def test_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__
