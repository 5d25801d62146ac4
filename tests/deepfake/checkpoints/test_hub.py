"""Models to and from a hub on this machine that speaks as the Hugging Face Hub does."""

import base64
import hashlib
import json
import pickle
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deepfake import VideoPredictor
from deepfake.checkpoints.hub import download, load_pretrained, push
from deepfake.checkpoints.loading import DEFAULT_MODEL, sha256
from deepfake.errors import CheckpointError, DeepfakeError
from deepfake.export import main as export

pytest.importorskip("huggingface_hub", reason="needs the extra: pip install -e '.[hub]'")
REPO = "anna/faces"


@dataclass
class FakeHub:
    """One repository; each commit is all files at it."""

    url: str = ""
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    created: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def commit(self, files: dict[str, bytes]) -> str:
        oid = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        last = next(reversed(self.commits.values()), {})
        self.commits[oid] = last | files
        return oid

    def find(self, revision: str) -> str | None:
        return next(reversed(self.commits), None) if revision == "main" else revision


class Handler(BaseHTTPRequestHandler):
    """What the Hub answers to its client."""

    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def do_GET(self) -> None:
        self.hub.asked.append(self.path)
        found = re.fullmatch(rf"/{REPO}/resolve/([^/]+)/([^/?]+)", self.path)
        oid = None if found is None else self.hub.find(found[1])
        if found is None:
            self.answer(404, X_Error_Code="RepoNotFound")
        elif oid not in self.hub.commits:
            self.answer(404, X_Error_Code="RevisionNotFound")
        elif found[2] not in self.hub.commits[oid]:
            self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=oid)
        else:
            content = self.hub.commits[oid][found[2]]
            etag = hashlib.sha256(content).hexdigest()
            self.answer(200, content, X_Repo_Commit=oid, ETag=f'"{etag}"')

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        reply: dict[str, Any]
        if self.path == "/api/repos/create":
            self.hub.created.append(json.loads(body))
            reply = {"url": f"{self.hub.url}/{REPO}"}
        elif self.path == f"/api/models/{REPO}/preupload/main":
            regular = {"uploadMode": "regular", "shouldIgnore": False}
            reply = {"files": [{"path": f["path"], **regular} for f in json.loads(body)["files"]]}
        else:
            assert self.path == f"/api/models/{REPO}/commit/main"
            entries = [json.loads(line) for line in body.splitlines()]
            added = [entry["value"] for entry in entries if entry["key"] == "file"]
            oid = self.hub.commit({f["path"]: base64.b64decode(f["content"]) for f in added})
            reply = {"commitOid": oid, "commitUrl": f"{self.hub.url}/{REPO}/commit/{oid}"}
        self.answer(200, json.dumps(reply).encode(), Content_Type="application/json")


def point_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    from huggingface_hub import constants

    fake = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Here", (Handler,), {"hub": fake}))
    fake.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    point_to(fake.url, monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_of_this_test")  # so that none of a user is sent
    yield fake
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "m.safetensors"
    command = ["--checkpoint", str(checkpoint), "--format", "safetensors", "--out", str(out)]
    assert export(command) == 0
    return out


def test_a_pushed_model_judges_as_before(
    hub: FakeHub,
    checkpoint: Path,
    samples: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "m.safetensors"
    command = ["--checkpoint", str(checkpoint), "--format", "safetensors", "--out", str(out)]
    assert export([*command, "--push", REPO]) == 0
    (oid,) = hub.commits
    assert f"pushed: {REPO} at {oid}" in capsys.readouterr().out
    assert hub.commits[oid] == {"model.safetensors": out.read_bytes()}
    assert hub.created[0]["visibility"] == "private"
    predictor = VideoPredictor.from_pretrained(REPO, revision=oid)
    assert predictor.checkpoint.name == f"{REPO}@{oid[:12]}"
    here = VideoPredictor.from_checkpoint(checkpoint).predict(samples / "fake.mp4")
    there = predictor.predict(samples / "fake.mp4")
    assert there.score == here.score
    assert there.provenance["checkpoint_sha256"] == sha256(out)


def test_a_graph_comes_first(hub: FakeHub, exported: Path) -> None:
    push(exported, REPO)
    oid = push(DEFAULT_MODEL, REPO)
    assert set(hub.commits[oid]) == {"model.onnx", "model.safetensors"}
    assert load_pretrained(REPO).sha256 == sha256(DEFAULT_MODEL)


def test_a_commit_pins_a_model_also_without_a_network(
    hub: FakeHub, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    first = push(exported, REPO)
    second = hub.commit({"model.safetensors": b"something else"})
    assert download(REPO, revision=first).read_bytes() == exported.read_bytes()
    assert download(REPO).parent.name == second
    asked = len(hub.asked)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert VideoPredictor.from_pretrained(REPO, revision=first).checkpoint.frames == 1
    assert len(hub.asked) == asked


def test_what_is_downloaded_is_checked_as_any_file(hub: FakeHub) -> None:
    oid = hub.commit({"model.safetensors": b"something else"})
    with pytest.raises(CheckpointError):
        VideoPredictor.from_pretrained(REPO, revision=oid)
    hub.commit({"model.onnx": b"no graph"})
    with pytest.raises(CheckpointError, match="is not an ONNX file"):
        VideoPredictor.from_pretrained(REPO)


def test_nothing_that_could_run_code_is_downloaded(hub: FakeHub, tmp_path: Path) -> None:
    hub.commit({"model.pt": pickle.dumps(1), "best.ckpt": pickle.dumps(1)})
    with pytest.raises(CheckpointError, match=r"has no model\.onnx or model\.safetensors"):
        VideoPredictor.from_pretrained(REPO)
    assert not [path for path in hub.asked if not path.endswith((".onnx", ".safetensors"))]
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.suffix in (".pt", ".ckpt")]


def test_nothing_that_could_run_code_is_pushed(hub: FakeHub, checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match=r"only \.onnx and \.safetensors are pushed"):
        push(checkpoint, REPO)
    command = ["--checkpoint", str(checkpoint), "--format", "openvino", "--out", "m.xml"]
    with pytest.raises(CheckpointError, match="only"):
        export([*command, "--push", REPO])
    assert not hub.created
    assert not Path("m.xml").exists()


@pytest.mark.parametrize(
    ("repo", "revision", "words"),
    [
        (REPO, "0" * 40, "cannot be had|has no"),
        ("bea/none", None, "bea/none cannot be had"),
        ("no such name", None, "no such name cannot be had"),
    ],
)
def test_what_is_not_there_is_told(
    hub: FakeHub, repo: str, revision: str | None, words: str
) -> None:
    hub.commit({"model.pt": b""})
    with pytest.raises(DeepfakeError, match=words) as caught:
        VideoPredictor.from_pretrained(repo, revision=revision)
    assert "\n" not in str(caught.value)


def test_without_a_network_one_line_says_so(
    hub: FakeHub, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    point_to("http://127.0.0.1:9", monkeypatch)  # where nobody listens
    with pytest.raises(DeepfakeError, match=f"could not be pushed to {REPO}: ") as caught:
        push(exported, REPO)
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # without it, it asks for 20 seconds
    with pytest.raises(DeepfakeError, match="the Hub cannot be reached: ") as caught:
        VideoPredictor.from_pretrained(REPO)
    assert "\n" not in str(caught.value)


def test_without_the_package_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(DeepfakeError, match=r"pip install -e '\.\[hub\]'"):
        VideoPredictor.from_pretrained(REPO)
