"""What predict writes beside its words: JSON, a table, pages, and clips with boxes in them."""

import csv
import json
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from deepfake.errors import DeepfakeError
from deepfake.types import Verdict

if TYPE_CHECKING:
    from deepfake.inference import VideoPredictor
    from deepfake.inference.panel import Panel
    from preprocessing.pipeline import Extraction

COLUMNS = (
    "video",
    "label",
    "score",
    "threshold",
    "people",
    "faces",
    "reason",
    "calibrated",
    "looked_for",
)
FAILED = "error"  # the label of a clip that could not be judged
SETTINGS = (
    "checkpoint_sha256",
    "aggregation",
    "only_person",
    "grow",
    "preprocess",
    "looked",
    "version",
    "panel",
)

Entry = Mapping[str, Any]  # a verdict, or a failure, as plain JSON types


def failure(path: Path, reason: str, predictor: "VideoPredictor | Panel") -> Entry:
    """Return the entry of a clip that could not be judged: the fields of a verdict, no score."""
    calibration = predictor.calibration
    empty = Verdict(
        str(path),
        "undecided",
        None,
        calibration.threshold,
        checkpoint=predictor.name,
        calibrated=calibration.fitted,
    )
    return {**empty.to_dict(), "label": FAILED, "reason": reason}


@dataclass(frozen=True)
class Outputs:
    """What to write and where; None leaves it out.

    Args:
        json: File for the whole verdicts; "-" for standard output.
        table: File for one row per clip, .csv or .parquet.
        report: Folder for a page per clip.
        annotate: Folder for the clips with boxes.
        jsonl: File for the whole verdicts, a line each, written as they come.
        evidence: Folder for signed bundles.
        signing_key: That signs them; None for the user's own.
        trust: PEM file of certificates whose Content Credentials are trusted.
        paths: Whether pages name whole paths.
        language: Of the pages.
    """

    json: str | None = None
    table: Path | None = None
    report: Path | None = None
    annotate: Path | None = None
    jsonl: Path | None = None
    evidence: Path | None = None
    signing_key: Path | None = None
    trust: Path | None = None
    paths: bool = False
    language: str = "en"

    def prepare(self) -> None:
        """Make the folders and see that everything can be written, before any work.

        Raises:
            DeepfakeError: Something cannot.
        """
        if self.table is not None and self.table.suffix.lower() not in (".csv", ".parquet"):
            raise DeepfakeError(f"--table {self.table}: the name must end in .csv or .parquet")
        folders = (
            ("--report", self.report),
            ("--annotate", self.annotate),
            ("--evidence", self.evidence),
        )
        for option, folder in folders:
            if folder is not None:
                _make_folder(option, folder)
        if self.evidence is not None:
            from deepfake.verify.bundle import KEY, signing_key

            signing_key(self.signing_key or KEY)
        if self.trust is not None and not self.trust.is_file():
            raise DeepfakeError(f"--trust {self.trust}: there is no such file")
        files = (("--json", self.json), ("--table", self.table), ("--jsonl", self.jsonl))
        for option, file in files:
            if file is not None and file != "-":
                _try_file(option, Path(file))

    @property
    def resumable(self) -> bool:
        """Say whether a run that is interrupted can be gone on with."""
        return self.jsonl is not None or self.json not in (None, "-")

    def earlier(self, clips: Sequence[Path], settings: Entry) -> dict[Path, Entry]:
        """Return what an earlier run said of clips with the same content and settings.

        The lines of `jsonl` are cleaned: what a killed run wrote by half goes, and what is to be
        judged again.

        Args:
            clips: Asked for now.
            settings: As in `settings_of`.
        """
        lines: list[Entry] = []
        if self.jsonl is not None and self.jsonl.exists():
            lines = _entries(self.jsonl.read_bytes().splitlines())
        known = list(lines)
        if self.json not in (None, "-"):
            with suppress(ValueError, OSError):
                content = json.loads(Path(str(self.json)).read_bytes())
                known += [e for e in content if isinstance(e, dict)]
        wanted = settings_of({"provenance": dict(settings)})
        same = {
            entry["provenance"]["sha256"]: entry
            for entry in known
            if entry.get("label") != FAILED and settings_of(entry) == wanted
        }
        from deepfake.checkpoints.loading import sha256

        found: dict[Path, Entry] = {}
        for clip in clips if same else ():
            with suppress(OSError):
                entry = same.get(sha256(clip))
                if entry is not None and self._has_files(clip, entry):
                    found[clip] = {**entry, "video": str(clip)}
        if self.jsonl is not None and self.jsonl.exists():
            asked = {str(clip) for clip in clips}
            kept = [e for e in lines if e.get("video") not in asked]
            _replace_lines(self.jsonl, [*kept, *found.values()])
        return found

    def _has_files(self, clip: Path, entry: Entry) -> bool:
        stem = file_stem(str(clip), entry["provenance"]["sha256"])
        wanted = ((self.report, ".html"), (self.annotate, ".*"), (self.evidence, ".evidence.zip"))
        return all(
            folder is None or any(folder.glob(f"{stem}{suffix}")) for folder, suffix in wanted
        )

    def add(
        self, verdict: Verdict, extraction: "Extraction", predictor: "VideoPredictor | Panel"
    ) -> list[Path]:
        """Write what belongs to one clip; return the files.

        Raises:
            DeepfakeError: A file cannot be written.
        """
        judge = cast("VideoPredictor", predictor)  # a panel has all that pages ask for
        written: list[Path] = []
        try:
            if self.report is not None:
                from deepfake.report.index_page import write_thumbnail
                from deepfake.report.verdict_page import write_page

                written.append(write_page(self.report, verdict, extraction, judge, **self._asked()))
                write_thumbnail(self.report, verdict, extraction)
            if self.annotate is not None:
                from deepfake.report.annotate import annotate

                written.append(annotate(self.annotate, verdict, extraction, judge))
            if self.evidence is not None:
                written.append(self._sign(verdict, extraction, judge))
        except OSError as error:
            raise DeepfakeError(f"{error.filename}: {error.strerror}") from error
        return written

    def _asked(self) -> dict[str, Any]:
        trusted = "" if self.trust is None else self.trust.read_text(encoding="ascii")
        return {"trusted": trusted, "paths": self.paths, "language": self.language}

    def _sign(
        self, verdict: Verdict, extraction: "Extraction", predictor: "VideoPredictor"
    ) -> Path:
        from deepfake.report.verdict_page import verdict_page
        from deepfake.verify.bundle import KEY, signing_key, write_bundle

        assert self.evidence is not None
        stem = file_stem(verdict.video, verdict.provenance["sha256"])
        page = verdict_page(verdict, extraction, predictor, **self._asked())
        file = self.evidence / f"{stem}.evidence.zip"
        return write_bundle(file, verdict, page, signing_key(self.signing_key or KEY))

    def note(self, entry: Entry) -> Entry:
        """Write a clip's line; return what `finish` needs of it."""
        if self.jsonl is not None:
            try:
                with self.jsonl.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(entry, allow_nan=False) + "\n")
            except OSError as error:
                raise DeepfakeError(f"--jsonl {self.jsonl}: {error.strerror}") from error
        if self.json is not None:
            return entry
        hashes = {"sha256": entry["provenance"].get("sha256")}
        return {**entry, "provenance": hashes, "faces": [None] * len(entry["faces"])}

    def finish(self, entries: Sequence[Entry]) -> None:
        """Write what belongs to all clips together.

        Raises:
            DeepfakeError: A file cannot be written.
        """
        if self.json is not None:
            _write_json(self.json, entries)
        if self.table is not None:
            _write_table(self.table, entries)
        if self.report is not None and len(entries) > 1:
            from deepfake.report.index_page import write_index

            write_index(self.report, entries)


def file_stem(video: str, sha256: str) -> str:
    """Return a file name without suffix and anything special in it, the same for the same clip."""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", Path(video).stem).strip("-")[:60]
    return f"{stem or 'clip'}-{sha256[:8]}"


def tally(entries: Sequence[Entry]) -> str:
    """Return how many clips were called what: `3 clips: 1 fake, 0 real, 2 undecided, 0 errors`."""
    counts = Counter(entry["label"] for entry in entries)
    words = [f"{counts[label]} {label}" for label in ("fake", "real", "undecided")]
    errors = f"{counts[FAILED]} error{'' if counts[FAILED] == 1 else 's'}"
    clips = f"{len(entries)} clip{'' if len(entries) == 1 else 's'}"
    return f"{clips}: {', '.join([*words, errors])}"


def settings_of(entry: Entry) -> dict[str, object]:
    """Return what, beside the clip's content, a verdict depends on."""
    provenance = entry.get("provenance")
    of = provenance if isinstance(provenance, dict) else {}
    return {name: of.get(name) for name in SETTINGS}


def _entries(lines: Sequence[bytes]) -> list[Entry]:
    """Return the entries of JSON lines; a line that was written by half is none."""
    found: list[Entry] = []
    for line in lines:
        with suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict) and isinstance(entry.get("provenance"), dict):
                found.append(entry)
    return found


def _make_folder(option: str, folder: Path) -> None:
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise DeepfakeError(
            f"{option} {folder}: {error.strerror}. Give a folder that can be written."
        ) from error


def _try_file(option: str, file: Path) -> None:
    there = file.exists()
    try:
        with file.open("ab"):
            pass
        if not there:
            file.unlink()
    except OSError as error:
        raise DeepfakeError(f"{option} {file}: {error.strerror}") from error


def _replace_lines(file: Path, entries: Sequence[Entry]) -> None:
    partial = file.with_name(f".{file.name}.part")
    partial.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    partial.replace(file)


def _write_json(target: str, entries: Sequence[Entry]) -> None:
    text = json.dumps(entries, indent=2, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
        return
    try:
        Path(target).write_text(text, encoding="utf-8")
    except OSError as error:
        raise DeepfakeError(f"--json {target}: {error.strerror}") from error


def _write_table(file: Path, entries: Sequence[Entry]) -> None:
    rows: list[tuple[str | float | int | None, ...]] = []
    for e in entries:
        threshold = None if e["label"] == FAILED else e["threshold"]
        counts = (len(e["tracks"]), len(e["faces"]))
        head = (_text(e["video"]), e["label"], e["score"], threshold)
        rows.append((*head, *counts, _text(e["reason"]), e["calibrated"], e["looked_for"]))
    try:
        if file.suffix.lower() == ".csv":
            with file.open("w", encoding="utf-8", newline="") as stream:
                writer = csv.writer(stream, lineterminator="\n")
                writer.writerow(COLUMNS)
                writer.writerows(rows)
        else:
            _write_parquet(file, rows)
    except OSError as error:
        raise DeepfakeError(f"--table {file}: {error.strerror or error}") from error


def _write_parquet(file: Path, rows: Sequence[tuple[str | float | int | None, ...]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, number, count = pa.string(), pa.float64(), pa.int64()
    types = (text, text, number, number, count, count, text, pa.bool_(), text)
    columns = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    pq.write_table(pa.Table.from_arrays(arrays, names=list(COLUMNS)), file)


def _text(name: str) -> str:
    """Return a file name as text that any encoding of Unicode can hold."""
    return name.encode("utf-8", "backslashreplace").decode()
