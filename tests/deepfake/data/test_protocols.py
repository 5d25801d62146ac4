from pathlib import Path

import numpy as np
import pytest

from deepfake.data.protocols import Protocol, ProtocolError, find_protocol, verify
from deepfake.errors import DeepfakeError
from deepfake.evaluation.faces import Folder, of_protocol
from preprocessing.crops.manifest import rows_of, to_table
from preprocessing.types import FaceCrop


def crop(key: str) -> FaceCrop:
    box = (0.0, 0.0, 9.0, 9.0)
    return FaceCrop(f"{key}.png", key, 0, 0, 0.0, box, 1.0, np.zeros((5, 2), np.float32), box,
                    dataset="mine")  # fmt: skip


def test_official_counts_of_faceforensics() -> None:
    protocol = find_protocol("ffpp-c23")
    labels = [label for label, _ in protocol.videos.values()]
    assert (labels.count(0), labels.count(1)) == (1000, 4000)
    assert [len(protocol.of(side)) for side in ("train", "val", "test")] == [3600, 700, 700]
    assert protocol.videos["FaceForensics++/Deepfakes/c23/953_974"] == (1, "test")
    other = find_protocol("ffpp-c40")
    assert len(protocol.sha256) == 64
    assert other.sha256 != protocol.sha256
    assert str(protocol).startswith("ffpp-c23 1 (")


def test_a_protocol_survives_its_file_and_its_hash_tells_changes(tmp_path: Path) -> None:
    protocol = Protocol("our own", "2", {"b": (1, "test"), "a": (0, "test")})
    protocol.write(tmp_path / "p.csv")
    found = find_protocol(str(tmp_path / "p.csv"))
    assert found == protocol
    assert found.sha256 == protocol.sha256
    assert Protocol("our own", "2", {"b": (0, "test"), "a": (0, "test")}).sha256 != found.sha256


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,label,split\na,0,test\n", "first line"),
        ("# x 1\nvideo,label,split\na,2,test\n", "line 3"),
        ("# x 1\nvideo,label,split\na,0,test\na,0,test\n", "line 4"),
        ("# x 1\nvideo,label,split\na,0,dev\n", "'dev'"),
        ("# x 1\nvideo,label,split\n", "lists no video"),
    ],
)
def test_damaged_protocols_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(ProtocolError, match=message):
        find_protocol(str(tmp_path / "p.csv"))
    with pytest.raises(ProtocolError, match="Shipped are ffpp-c23"):
        find_protocol("nothing")


def test_verify_says_have_missing_extra_and_label_differs() -> None:
    protocol = Protocol("p", "1", {"a": (0, "test"), "b": (1, "test"), "c": (1, "train")})
    found = verify(protocol, {"a": 0, "b": 0, "d": 1}, split="test")
    assert (found.have, found.missing, found.extra) == (["a"], [], ["d"])
    assert found.label_differs == ["b"]
    assert not found.complete
    assert verify(protocol, {"a": 0, "b": 1, "d": 1}, split="test").complete
    assert verify(protocol, {"a": 0, "b": 1}).missing == ["c"]


def test_videos_of_a_protocol_that_are_missing_count_as_not_scored() -> None:
    protocol = Protocol("p", "1", {"a": (0, "test"), "b": (1, "test"), "c": (1, "train")})
    ((_, crops, empty),) = of_protocol(
        [Folder(Path("x"), to_table([crop("a"), crop("e"), crop("a")]), to_table([]))],
        protocol,
        "test",
    )
    assert [(c.video, c.label, c.split) for c in rows_of(crops)] == 2 * [("a", 0, "test")]
    found = [(c.video, c.label, c.dataset) for c in rows_of(empty)]
    assert found == [("b", 1, f"mine, {protocol}")]
    with pytest.raises(DeepfakeError, match="None of the 2 videos"):
        of_protocol([Folder(Path("x"), to_table([crop("e")]), to_table([]))], protocol, "test")
