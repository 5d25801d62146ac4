from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocessing.crops.manifest import (
    MANIFEST,
    SCHEMA,
    VERSION_KEY,
    VideoRecord,
    crop_file,
    read_manifest,
    to_table,
    write_manifest,
)
from preprocessing.errors import ManifestError
from preprocessing.options import options_from_dict
from preprocessing.types import FaceCrop

CROP = FaceCrop(
    path="crops/a/0.png",
    video="real/a",
    track=0,
    frame=3,
    time_s=0.12,
    box=(1.0, 2.0, 3.0, 4.0),
    score=0.75,
    landmarks=np.arange(10, dtype=np.float32).reshape(5, 2),
    crop_box=(0.0, 0.0, 5.0, 5.0),
    label=0,
    identities=("anna", "ben"),
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    other = replace(CROP, path="crops/a/1.png", label=None, source="x", split="val", frame=1)
    write_manifest(tmp_path, [CROP, other])
    first, second = read_manifest(tmp_path)
    assert (first.path, second.path) == ("crops/a/1.png", "crops/a/0.png")
    assert (first.label, first.source, first.split) == (None, "x", "val")
    assert second.box == CROP.box
    assert second.identities == ("anna", "ben")
    np.testing.assert_array_equal(second.landmarks, CROP.landmarks)


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    crops = [replace(CROP, path=f"{k}.png", frame=k) for k in range(5)]
    for name, rows in (("a", crops), ("b", crops[::-1])):
        (tmp_path / name).mkdir()
        write_manifest(tmp_path / name, rows)
    assert (tmp_path / "a" / MANIFEST).read_bytes() == (tmp_path / "b" / MANIFEST).read_bytes()


def test_missing_manifest_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"python -m deepfake\.preprocess"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"path": "../x.png"}, "row 0 .* leaves the data folder"),
        ({"path": "/etc/passwd"}, "leaves the data folder"),
        ({"box": (float("nan"), 0, 1, 1)}, "box is not finite"),
        ({"landmarks": np.full((5, 2), np.inf, np.float32)}, "landmarks is not finite"),
        ({"score": 1.5}, r"outside \[0, 1\]"),
        ({"label": 7}, "label"),
        ({"split": "validation"}, "split"),
    ],
)
def test_rows_that_cannot_be_right_are_named(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    write_manifest(tmp_path, [replace(CROP, **change)])  # type: ignore[arg-type]
    with pytest.raises(ManifestError, match=words):
        read_manifest(tmp_path)


def test_duplicated_rows_are_refused(tmp_path: Path) -> None:
    write_manifest(tmp_path, [CROP, CROP])
    with pytest.raises(ManifestError, match="another row has too"):
        read_manifest(tmp_path)


def _without_score(table: pa.Table) -> pa.Table:
    return table.drop_columns(["score"])


def _newer(table: pa.Table) -> pa.Table:
    return table.replace_schema_metadata({VERSION_KEY: b"99"})


def _wrong_type(table: pa.Table) -> pa.Table:
    at = SCHEMA.get_field_index("track")
    return table.set_column(at, "track", pa.array(["x"]))


@pytest.mark.parametrize(
    ("damage", "words"),
    [(_without_score, "lacks the column score"), (_newer, "version 99"), (_wrong_type, "type")],
)
def test_foreign_tables_are_refused(
    tmp_path: Path, damage: Callable[[pa.Table], pa.Table], words: str
) -> None:
    pq.write_table(damage(to_table([CROP])), tmp_path / MANIFEST)
    with pytest.raises(ManifestError, match=words):
        read_manifest(tmp_path)


@given(st.binary(max_size=300))
def test_any_bytes_give_one_line(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / MANIFEST).write_bytes(b"PAR1" + data + b"PAR1")
        with pytest.raises(ManifestError):
            read_manifest(Path(folder))


@given(st.text(max_size=200) | st.just('{"version": 1}') | st.just('{"version": 1, "video": 3}'))
def test_any_text_is_no_record(text: str) -> None:
    with pytest.raises(ManifestError):
        VideoRecord.from_json(text)


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    (tmp_path / "secret.png").touch()
    (tmp_path / "faces" / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "faces2").mkdir()
    (tmp_path / "faces" / "near").symlink_to(tmp_path / "faces2", target_is_directory=True)
    (tmp_path / "faces" / "inside").symlink_to(tmp_path / "faces", target_is_directory=True)
    for path in ("link.png", "near/secret.png", "../secret.png", "inside/link.png", "/etc/hosts"):
        with pytest.raises(ManifestError, match="leaves the data folder"):
            crop_file(tmp_path / "faces", path)
    assert crop_file(tmp_path / "faces", "inside/a.png") == tmp_path / "faces" / "a.png"


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown option colour"):
        options_from_dict({"colour": "BGR"})
