import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from preprocessing.video.files import content, kind_of, marked, sorted_out, walk


def test_a_folder_is_sorted_out_and_the_rest_counted(samples: Path, tmp_path: Path) -> None:
    for name in ("a.MTS", "b.3gp", "._a.mp4", "notes.txt", "e.mts"):
        (tmp_path / name).write_bytes(b"\x47" + bytes(187) if name == "a.MTS" else b"x")
    (tmp_path / "a.MTS").write_bytes((b"\x47" + bytes(187)) * 4)
    shutil.copy(samples / "real.mp4", tmp_path / "without suffix")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "c.mp4").touch()
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "manifest.parquet").touch()
    (tmp_path / "faces" / "0.png").touch()
    picture = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    (tmp_path / "curves.png").write_bytes(marked(picture))
    (tmp_path / "d.png").write_bytes(picture)
    found, line = sorted_out(tmp_path)
    assert [(path.name, kind) for path, kind in found] == [
        ("a.MTS", "video"),
        ("b.3gp", "video"),
        ("d.png", "picture"),
        ("without suffix", "video"),
    ]
    for words in ("2 that are no video", "1 .txt", "1 .mts", "1 hidden", "1 folders of crops"):
        assert words in line
    assert "1 written by these tools" in line
    assert "\n" not in line


def test_a_marked_picture_is_the_same_picture(tmp_path: Path) -> None:
    image = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    for suffix in (".png", ".jpg"):
        plain = cv2.imencode(suffix, image)[1].tobytes()
        assert len(marked(plain)) > len(plain)
        one, other = (cv2.imdecode(np.frombuffer(d, np.uint8), 1) for d in (plain, marked(plain)))
        assert one is not None
        assert other is not None
        assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x18ftypisom\0\0\0\0isomavc1", "video"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic", "picture"),
        (b"\0\0\0\x1cftypavis\0\0\0\0avismsf1", "picture"),
        (b"RIFF\0\0\0\0WEBPVP8X", "picture"),
        (b"RIFF\0\0\0\0AVI LIST", "video"),
        (b"RIFF\0\0\0\0WAVEfmt ", None),
        (b"import x from 'y'", None),
        (b"", None),
    ],
)
def test_content_decides(head: bytes, kind: str | None) -> None:
    assert content(head) == kind


def test_links_to_parents_end(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "again").symlink_to(tmp_path)
    assert list(walk(tmp_path)) == [tmp_path / "a.mp4"]
    assert kind_of(tmp_path / "missing") is None
