"""The page in a real browser, served as a user serves it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
WAIT_S = 120  # a busy machine takes long to start everything

pytestmark = pytest.mark.slow
gradio = pytest.importorskip("gradio", reason="the extra `app` is not installed")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def address(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the page is served; its folder must be gone when the server ends."""
    folder, port = tmp_path_factory.mktemp("app"), free_port()
    command = [sys.executable, "-m", "deepfake.app", "--checkpoint", str(checkpoint)]
    with subprocess.Popen(
        [*command, "--port", str(port)],
        env=os.environ | {"TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == f"http://127.0.0.1:{port}"
            answer_of(f"http://127.0.0.1:{port}/")
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.send_signal(signal.SIGTERM)
    assert not list(folder.glob("deepfake-app-*"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.is_file():
        pytest.skip(f"there is no browser at {CHROMIUM}")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def judge(page: Any, clip: Path, answer: str) -> Any:  # noqa: ANN401  playwright may be absent
    """Drop a clip and press Judge until there is an answer; return its element."""
    page.set_input_files("#clip input[type=file]", clip)
    uploaded = """name => {
        const text = document.querySelector('#clip').innerText;
        return text.includes(name) && !text.includes('Uploading');
    }"""
    page.wait_for_function(uploaded, arg=clip.stem)
    return press(page, answer)


def press(page: Any, answer: str) -> Any:  # noqa: ANN401
    """Press Judge until there is an answer; return its element.

    For a moment after an upload gradio loses clicks, longer on a busy machine.
    """
    from playwright.sync_api import TimeoutError as NoAnswerError

    until = time.monotonic() + WAIT_S
    while True:
        page.wait_for_timeout(2000)
        page.click("#judge")
        try:
            return page.wait_for_selector(answer, timeout=WAIT_S * 1000 / 4)
        except NoAnswerError:
            if time.monotonic() > until:
                raise


def test_a_clip_is_judged_in_the_browser(
    browser: Any,  # noqa: ANN401
    address: str,
    samples: Path,
    tmp_path: Path,
) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844}, accept_downloads=True)
    page.set_default_timeout(WAIT_S * 1000)
    requests: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.goto(address)
    judge(page, samples / "fake.mp4", ".verdict")
    told = page.inner_text(".verdict")  # of a fresh Meso4, never held against labelled videos
    assert "Not calibrated: the score leans to real" in told
    assert "fake.mp4: undecided, score 0.49" in told
    frame = page.frame_locator("iframe.report")
    assert "Person 1" in frame.locator("body").inner_text()
    assert frame.locator("script").count() == 0
    assert not errors
    show_a_face(page, frame)
    # Chromium blocks what playwright itself runs in the frame for this, and says so.
    errors[:] = [e for e in errors if "Blocked script execution in 'about:srcdoc'" not in e]
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390, f"the page is {width} pixels wide on a phone"

    with page.expect_download() as report:
        page.click("#report")
    assert report.value.path().read_text(encoding="utf-8").startswith("<!doctype html>")
    with page.expect_download() as verdict:
        page.click("#json")
    assert json.loads(verdict.value.path().read_text())["video"] == "fake.mp4"

    page.reload()
    page.wait_for_selector(".verdict:has-text('fake.mp4')")  # a reload keeps the answer
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video" * 100)
    judge(page, broken, ".verdict.error:has-text('broken.mp4 cannot be judged')")
    assert page.locator("iframe.report").count() == 0  # nothing of the last verdict is left
    assert page.locator("#report").is_disabled()
    assert "common." not in page.inner_text("body")

    page.click(".label-wrap")  # a part of the clip
    page.get_by_label("Frames").fill("-4")
    press(page, ".verdict.error:has-text('frames must be from 1')")

    outside = [url for url in requests if not url.startswith((address, "data:", "blob:"))]
    assert not outside, "the page asks something of another server"
    assert not errors
    page.close()


def show_a_face(page: Any, frame: Any) -> None:  # noqa: ANN401
    """Click on the chart at seven tenths of it; step on with an arrow key."""
    assert frame.locator("figure.pick:visible").count() == 0
    times = frame.locator(".picks input").evaluate_all("all => all.map(i => i.ariaLabel)")
    assert len(times) == 4, "one of each face of this checkpoint"
    show = "element => element.scrollIntoView({block: 'center', behavior: 'instant'})"
    page.locator("iframe.report").evaluate(show)  # frames out of sight stand still
    frame.locator(".plot").evaluate(show)
    box = frame.locator(".plot").bounding_box()
    page.mouse.click(box["x"] + 0.7 * box["width"], box["y"] + 0.4 * box["height"])
    shown = frame.locator("figure.pick:visible")
    assert shown.inner_text().replace("\n", ", ") == times[2]
    page.keyboard.press("ArrowRight")
    assert shown.inner_text().replace("\n", ", ") == times[3]
    assert shown.locator("img").evaluate("image => image.naturalWidth") > 0


def test_answers_forbid_other_servers_and_come_only_from_this_computer(address: str) -> None:
    answer = answer_of(address)
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    port = int(address.rsplit(":", 1)[1].strip("/"))
    with socket.socket() as probe:  # who listens on all addresses listens on this one too
        assert probe.connect_ex(("127.0.0.2", port)) != 0, "it listens on more than 127.0.0.1"


def answer_of(address: str) -> HTTPResponse:
    """Ask until the server has started."""
    until = time.monotonic() + WAIT_S
    while True:
        try:
            answer: HTTPResponse = urllib.request.urlopen(address)
        except urllib.error.URLError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)
        else:
            return answer
