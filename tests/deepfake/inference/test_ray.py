"""Clips judged on a Ray cluster as on this machine; see also tests/preprocessing."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from deepfake.errors import DeepfakeError
from deepfake.predict import main

CLIPS = ["real.mp4", "broken.mp4", "fake.mp4"]


@pytest.fixture
def clips(samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the command is run in, so that names of clips have no folder."""
    for name in ("real.mp4", "fake.mp4"):
        shutil.copy(samples / name, tmp_path / name)
    (tmp_path / "broken.mp4").write_bytes(b"no video" * 100)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def verdicts(file: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(Path(file).read_text())
    for verdict in found:
        if verdict["label"] == "error":
            verdict["reason"] = verdict["reason"].replace(f"{Path.cwd()}/", "")
        else:
            del verdict["provenance"]["time"]
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Ray's own sockets
@pytest.mark.filterwarnings("ignore::FutureWarning:ray")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_cluster_says_the_same(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ray = pytest.importorskip("ray", reason="needs the extra: pip install -e '.[ray]'")
    ask = [*CLIPS, "--checkpoint", "default", "--frames", "4"]
    assert main([*ask, "--json", "here.json"]) == 1
    told = capsys.readouterr()
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    capsys.readouterr()
    try:
        cluster = ["--engine", "ray", "--json", "there.json", "--report", "pages"]
        assert main([*ask, *cluster]) == 1
        there = capsys.readouterr()
        staged = ["--engine", "ray", "--judges", "1", "--json", "staged.json"]
        assert main([*ask, *staged]) == 1
    finally:
        ray.shutdown()
    assert verdicts("there.json") == verdicts("here.json") == verdicts("staged.json")
    assert [verdict["video"] for verdict in verdicts("there.json")] == CLIPS
    assert len(list(Path("pages").glob("*.html"))) == 3  # with the index
    assert there.err.replace(f"{clips}/", "") == told.err
    assert (
        told.out.splitlines()[2:5]
        == [line for line in there.out.splitlines() if "written" not in line][2:5]
    )


def test_without_ray_one_line_says_so(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DeepfakeError, match=r"pip install -e '\.\[ray\]'"):
        main([*CLIPS, "--engine", "ray"])


def test_what_a_cluster_cannot_do_is_refused(clips: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra: pip install -e '.[ray]'")
    with pytest.raises(DeepfakeError, match="--sandbox confines local workers"):
        main([*CLIPS, "--engine", "ray", "--sandbox"])
    with pytest.raises(DeepfakeError, match=r"no Ray cluster answers at 127\.0\.0\.1:1: "):
        main([*CLIPS, "--engine", "ray", "--address", "127.0.0.1:1", "--checkpoint", "default"])
