"""Many clips in one run: every input has one entry, also after the run was killed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

import deepfake
from deepfake.predict import main
from deepfake.report.index_page import _without

SCHEMA = json.loads((Path(deepfake.__file__).parent / "report" / "verdict.schema.json").read_text())


@pytest.fixture
def clips(tmp_path: Path, samples: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(3):
        shutil.copy(samples / "real.mp4", folder / f"real{number}.mp4")  # one content, three names
    shutil.copy(samples / "fake.mp4", folder / "fake.mp4")
    (folder / "bad.mp4").write_text("no video")
    return folder


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_every_input_is_a_valid_entry_of_one_list(
    clips: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, stream = tmp_path / "all.json", tmp_path / "all.jsonl"
    arguments = ["--checkpoint", str(checkpoint), "--json", str(whole), "--jsonl", str(stream)]
    assert main([str(clips), *arguments]) == 1
    entries = json.loads(whole.read_text())
    assert [Path(e["video"]).name for e in entries] == sorted(p.name for p in clips.iterdir())
    assert sorted(map(str, entries)) == sorted(map(str, lines(stream)))
    for entry in entries:
        Draft202012Validator(SCHEMA).validate(entry)
    assert entries[0]["label"] == "error"
    assert entries[0]["reason"].startswith(f"{clips / 'bad.mp4'}: ")
    printed = capsys.readouterr()
    assert re.search(r"^5 clips: \d fake, \d real, \d undecided, 1 error$", printed.out, re.M)
    assert f"error: {clips / 'bad.mp4'}: cannot be read" in printed.err


def test_one_clip_is_a_list_too(
    samples: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(samples / "fake.mp4"), "--checkpoint", str(checkpoint), "--json", "-"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["provenance"]["looked"] == {"start_s": 0.0, "end_s": None, "fps": None}


def test_a_run_goes_on_where_another_stopped(
    clips: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = tmp_path / "all.jsonl"
    arguments = ["--checkpoint", str(checkpoint), "--jsonl", str(stream)]
    main([str(clips / "fake.mp4"), str(clips / "real0.mp4"), *arguments])
    first = lines(stream)
    with stream.open("a") as file:
        file.write(stream.read_text().splitlines()[0][:200])  # killed while it wrote
    capsys.readouterr()
    assert main([str(clips), *arguments]) == 1
    printed = capsys.readouterr()
    assert "4 of 5 clips were judged by an earlier run" in printed.err  # by content
    assert "real2.mp4: " not in printed.out
    after = lines(stream)
    assert sorted(Path(str(e["video"])).name for e in after) == sorted(
        p.name for p in clips.iterdir()
    )
    times = {str(e["provenance"]["time"]) for e in first}  # type: ignore[index]
    kept = [e for e in after if e["label"] != "error"]
    assert {str(e["provenance"]["time"]) for e in kept} == times  # type: ignore[index]


@pytest.mark.parametrize("change", ["content", "setting"])
def test_what_changed_is_judged_again(
    change: str, clips: Path, samples: Path, checkpoint: Path, tmp_path: Path
) -> None:
    stream, clip = tmp_path / "all.jsonl", clips / "fake.mp4"
    arguments = [str(clip), "--checkpoint", str(checkpoint), "--jsonl", str(stream)]
    main(arguments)
    (before,) = lines(stream)
    if change == "content":
        shutil.copy(samples / "real.mp4", clip)
        main(arguments)
    else:
        main([*arguments, "--start", "0:01"])
    (after,) = lines(stream)
    assert after["faces"] != before["faces"]


@pytest.mark.slow
def test_killed_twice_and_resumed(checkpoint: Path, samples: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    whole = (samples / "real.mp4").read_bytes()
    for number in range(40):  # a comment box after the end makes each content another
        box = (12).to_bytes(4, "big") + b"free" + number.to_bytes(4, "big")
        (folder / f"{number:02}.mp4").write_bytes(whole + box)
    for number in range(5):
        (folder / f"bad{number}.mp4").write_bytes(whole[: 100 + number])
    stream = tmp_path / "all.jsonl"
    command = [sys.executable, "-m", "deepfake.predict", str(folder), "--frames", "1"]
    command += ["--checkpoint", str(checkpoint), "--jsonl", str(stream)]
    for least, sign in ((3, signal.SIGKILL), (10, signal.SIGINT)):
        run = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # A shell starts what runs in the background deaf to SIGINT, and children inherit it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        while run.poll() is None and (
            not stream.exists() or stream.read_bytes().count(b"\n") < least
        ):
            time.sleep(0.01)
        os.kill(run.pid, sign)
        _, errors = run.communicate()
        if sign == signal.SIGINT:
            assert run.returncode == 130
            assert b"run this again to go on" in errors.splitlines()[-1]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "45 clips: " in done.stdout
    names = [Path(str(entry["video"])).name for entry in lines(stream)]
    assert sorted(names) == sorted(p.name for p in folder.iterdir())


def test_the_index_of_many_pages(clips: Path, checkpoint: Path, tmp_path: Path) -> None:
    shutil.copy(clips / "fake.mp4", clips / "<img src=x onerror=alert(1)>.mp4")
    pages = tmp_path / "pages"
    main([str(clips), "--checkpoint", str(checkpoint), "--report", str(pages)])
    text = (pages / "index.html").read_text()
    assert text.count("<tr class=") == 6
    assert "<img src=x" not in text
    for link in re.findall(r'(?:href|<img src)="([^"]+)"', text):
        assert (pages / link).is_file(), link
    assert 'data-label="error"' in text
    assert str(clips) not in text, "where files lie is told on no page"
    assert ">cannot be read as a video (Invalid data found when processing input)</td>" in text


def test_a_reason_on_the_index_lacks_the_path_and_nothing_else() -> None:
    assert _without("/a/b.mp4", "/a/b.mp4: is empty") == "is empty"
    assert _without("/a/b.mp4", "/a/b.mp4 does not exist") == "does not exist"
    assert _without("e", "e: the score lies in between") == "the score lies in between"
    assert _without("e", "the score lies in between") == "the score lies in between"
