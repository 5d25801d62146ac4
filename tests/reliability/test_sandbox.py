import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from deepfake.preprocess import main
from preprocessing.crops.manifest import read_manifest
from preprocessing.errors import DeepfakeError
from preprocessing.pipeline import Extraction, detector_for, extract_faces
from preprocessing.types import PreprocessOptions
from preprocessing.workers.local import run_local
from tests.reliability.media import COMMON

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux only")


def connect() -> None:
    with socket.socket() as wire:
        wire.connect(("127.0.0.1", 9))


def fork() -> None:
    if os.fork() == 0:
        os._exit(0)


ACTS: dict[str, Callable[[], object]] = {
    "connect": connect,
    "resolve": lambda: socket.create_connection(("localhost", 9)),
    "start a program": lambda: subprocess.run(["/bin/true"], check=True),
    "fork": fork,
    "signal the parent": lambda: os.kill(os.getppid(), 0),
    "replace itself": lambda: os.execv("/bin/true", ["true"]),
}


def act(name: str) -> str:
    """Try what a sandbox forbids; runs in a worker."""
    if name in ACTS:
        try:
            ACTS[name]()
        except OSError as error:
            return type(error).__name__
        return "done"
    if name == "think in a thread":
        thoughts: list[str] = []
        thread = threading.Thread(target=thoughts.append, args=("done",))
        thread.start()
        thread.join()
        return thoughts[0]
    return name


def test_a_sandboxed_worker_reaches_nobody() -> None:
    names = [*ACTS, "think in a thread"]
    inside = {o.task: o.result for o in run_local(act, names, workers=1, sandbox=True)}
    assert inside == {**dict.fromkeys(ACTS, "PermissionError"), "think in a thread": "done"}


def test_without_it_the_same_acts_are_possible() -> None:
    possible = ["start a program", "fork", "signal the parent"]
    outside = {o.task: o.result for o in run_local(act, possible, workers=1)}
    assert outside == dict.fromkeys(possible, "done")


def forge(kind: str) -> object:
    """Answer with something that is no face; runs in a worker."""
    return {"path": Path("/etc/passwd"), "function": os.system, "class": Extraction}[kind]


def test_a_forged_answer_is_not_rebuilt() -> None:
    outcomes = {o.task: o for o in run_local(forge, ["path", "function"], workers=1, sandbox=True)}
    for outcome in outcomes.values():
        assert (outcome.result, outcome.stage) == (None, "worker")
        assert "which is no face" in outcome.reason


def burn(_: int) -> None:
    """Compute without end; runs in a worker."""
    while True:
        pass


def test_processor_time_is_bounded() -> None:
    sandbox_seconds = 1.0
    (outcome,) = run_local(burn, [0], workers=1, timeout_s=sandbox_seconds, sandbox=True)
    assert outcome.stage == "worker"


def faces_of(path: Path) -> Extraction:
    """Find faces; runs in a worker."""
    options = PreprocessOptions(frames=4)
    return extract_faces(path, options, detector_for(options))


def test_faces_come_out_of_it_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(COMMON["h264.mp4"]())
    (outcome,) = run_local(faces_of, [path], workers=1, sandbox=True)
    assert outcome.result is not None, outcome.reason
    here = faces_of(path)
    assert outcome.result.info == here.info
    for inside, outside in zip(outcome.result.faces, here.faces, strict=True):
        assert (inside.image == outside.image).all()
        assert inside.detection.box == outside.detection.box


def test_preprocess_in_a_sandbox(tmp_path: Path) -> None:
    clip, out = tmp_path / "a.mp4", tmp_path / "faces"
    clip.write_bytes(COMMON["h264.mp4"]())
    assert main([str(clip), "--out", str(out), "--frames", "4", "--sandbox"]) == 0
    assert len(read_manifest(out)) == 4


def test_where_there_is_none_nothing_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(DeepfakeError, match="needs Linux on x86-64 or ARM64"):
        next(run_local(act, ["x"], workers=1, sandbox=True))
