import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cryptography", reason="the extra `evidence` is not installed")

from deepfake.predict import main as predict
from deepfake.types import Verdict
from deepfake.verify.__main__ import _scores, main
from deepfake.verify.bundle import BundleError, read_bundle, signing_key, write_bundle

HASHES = {"sha256": "a" * 64, "checkpoint_sha256": "b" * 64, "time": "2026-01-01T00:00:00+00:00"}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    key = signing_key(tmp_path / "keys" / "key.pem")
    verdict = Verdict("/home/anna/clip.mp4", "fake", 0.9, 0.5, provenance=HASHES)
    verdict = replace(verdict, checkpoint="/home/anna/mine.ckpt")
    return write_bundle(tmp_path / "a.zip", verdict, "<p>page</p>", key)


def test_a_bundle_says_what_was_signed_and_no_local_path(small: Path, tmp_path: Path) -> None:
    bundle = read_bundle(small)
    assert bundle.verdict["video"] == bundle.manifest["clip"] == "clip.mp4"
    assert bundle.manifest["clip_sha256"] == "a" * 64
    assert b"anna" not in small.read_bytes()
    assert bundle.verdict["checkpoint"] == "mine.ckpt"
    assert (tmp_path / "keys" / "key.pem").stat().st_mode & 0o77 == 0
    assert main([str(small)]) == 0
    with pytest.raises(BundleError, match="not by"):
        main([str(small), "--key", "00" * 32])


def test_a_changed_bit_anywhere_is_named(small: Path) -> None:
    whole = small.read_bytes()
    places = np.random.default_rng(0).permutation(len(whole))[:600]
    for place in places:
        for bit in (1, 128):
            changed = bytearray(whole)
            changed[place] ^= bit
            small.write_bytes(changed)
            with pytest.raises(BundleError) as told:
                read_bundle(small)
            assert str(small) in str(told.value)


@pytest.mark.parametrize("change", ["cut", "longer", "other key"])
def test_other_changes_are_named_too(change: str, small: Path, tmp_path: Path) -> None:
    whole = small.read_bytes()
    if change == "other key":
        verdict = Verdict("clip.mp4", "real", 0.1, 0.5, provenance=HASHES)
        before = read_bundle(small).key
        write_bundle(small, verdict, "", signing_key(tmp_path / "forger.pem"))
        with pytest.raises(BundleError, match="is signed by"):
            main([str(small), "--key", before])
        return
    small.write_bytes(whole[:-20] if change == "cut" else whole + b"x")
    with pytest.raises(BundleError):
        read_bundle(small)


def test_evidence_is_judged_again(
    checkpoint: Path, samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = tmp_path / "clip.mp4"
    shutil.copy(samples / "fake.mp4", clip)
    options = ["--checkpoint", str(checkpoint), "--start", "0:01", "--frames", "2"]
    options += ["--evidence", str(tmp_path), "--signing-key", str(tmp_path / "key.pem")]
    assert predict([str(clip), *options]) == 0
    (bundle,) = tmp_path.glob("*.evidence.zip")
    again = [str(bundle), str(clip), "--checkpoint", str(checkpoint)]
    capsys.readouterr()
    assert main(again) == 0
    assert "judged again: the same verdict" in capsys.readouterr().out
    shutil.copy(samples / "real.mp4", clip)
    assert main(again) == 1
    told = capsys.readouterr().out
    assert "differs: the clip is another file" in told
    signed = read_bundle(bundle).verdict
    other = {**signed, "score": 0.9, "tracks": []}
    assert list(_scores(signed, other)) == [
        "people: 0, signed 1",
        f"score of the clip: 0.9, signed {signed['score']}",
    ]
