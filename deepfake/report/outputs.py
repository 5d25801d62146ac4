"""What predict writes beside its words: JSON, a table, pages, and clips with boxes in them."""

import csv
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from deepfake.errors import DeepfakeError
from deepfake.types import Verdict

if TYPE_CHECKING:
    from deepfake.inference import VideoPredictor
    from deepfake.inference.panel import Panel
    from preprocessing.pipeline import Extraction

COLUMNS = {
    "video": "string", "label": "string", "score": "double", "threshold": "double",
    "people": "int64", "faces": "int64", "reason": "string", "calibrated": "bool",
    "looked_for": "string",
}  # fmt: skip
FAILED = "error"  # the label of a clip that could not be judged
SETTINGS = (
    "checkpoint_sha256", "aggregation", "only_person", "grow", "preprocess", "looked", "version",
    "panel",
)  # fmt: skip

Entry = Mapping[str, Any]  # a verdict, or a failure, as plain JSON types


def failure(path: Path, reason: str, predictor: "VideoPredictor | Panel") -> Entry:
    """Return the entry of a clip that could not be judged: the fields of a verdict, no score."""
    limits, name = predictor.calibration, predictor.name
    empty = Verdict(str(path), "undecided", None, limits.threshold, checkpoint=name)
    return {**empty.to_dict(), "label": FAILED, "reason": reason, "calibrated": limits.fitted}


@dataclass(frozen=True)
class Outputs:
    """What to write and where, by the options of predict; None leaves it out."""

    json: str | None = None  # file for the whole verdicts; "-" for standard output
    table: Path | None = None  # file for one row per clip, .csv or .parquet
    report: Path | None = None  # folder for a page per clip
    annotate: Path | None = None  # folder for the clips with boxes
    jsonl: Path | None = None  # file for the whole verdicts, a line each, written as they come
    evidence: Path | None = None  # folder for signed bundles
    signing_key: Path | None = None  # that signs them; None for the user's own
    trust: Path | None = None  # PEM file of certificates whose Content Credentials are trusted
    paths: bool = False  # whether pages name whole paths
    language: str = "en"  # of what is told

    def prepare(self) -> None:
        """Make the folders and see that everything can be written, before any work.

        Raises:
            DeepfakeError: Something cannot.
        """
        if self.table is not None and self.table.suffix.lower() not in (".csv", ".parquet"):
            raise DeepfakeError(f"--table {self.table}: the name must end in .csv or .parquet")
        for option in ("report", "annotate", "evidence"):
            if (folder := getattr(self, option)) is not None:
                _make_folder(f"--{option}", folder)
        if self.evidence is not None:
            from deepfake.verify.bundle import KEY, signing_key

            signing_key(self.signing_key or KEY)
        if self.trust is not None and not self.trust.is_file():
            raise DeepfakeError(f"--trust {self.trust}: there is no such file")
        for option in ("json", "table", "jsonl"):
            if (file := getattr(self, option)) not in (None, "-"):
                _try_file(f"--{option}", Path(file))

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
        file = self.jsonl if self.jsonl is not None and self.jsonl.exists() else None
        lines = _entries(file.read_bytes().splitlines()) if file else []
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
        if file:
            asked = {str(clip) for clip in clips}
            kept = [e for e in lines if e.get("video") not in asked]
            _replace_lines(file, [*kept, *found.values()])
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
            if self.report is not None or self.evidence is not None:
                from deepfake.report.verdict_page import verdict_page

                trusted = "" if self.trust is None else self.trust.read_text(encoding="ascii")
                asked: dict[str, Any] = {"paths": self.paths, "language": self.language}
                page = verdict_page(verdict, extraction, judge, trusted=trusted, **asked)
                written += self._pages(verdict, extraction, page)
            if self.annotate is not None:
                from deepfake.report.annotate import annotate

                written.append(annotate(self.annotate, verdict, extraction, judge))
        except OSError as error:
            raise DeepfakeError(f"{error.filename}: {error.strerror}") from error
        return written

    def _pages(self, verdict: Verdict, extraction: "Extraction", page: str) -> Iterator[Path]:
        stem = file_stem(verdict.video, verdict.provenance["sha256"])
        if self.report is not None:
            from deepfake.report.index_page import write_thumbnail

            file = self.report / f"{stem}.html"
            file.write_text(page, encoding="utf-8", errors="backslashreplace")
            write_thumbnail(self.report, verdict, extraction)
            yield file
        if self.evidence is not None:
            from deepfake.verify.bundle import KEY, signing_key, write_bundle

            file = self.evidence / f"{stem}.evidence.zip"
            yield write_bundle(file, verdict, page, signing_key(self.signing_key or KEY))

    def note(self, entry: Entry) -> Entry:
        """Write a clip's line; return what `finish` needs of it."""
        if self.jsonl is not None:
            with _told("--jsonl", self.jsonl), self.jsonl.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(entry, allow_nan=False) + "\n")
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

            write_index(self.report, entries, self.language)


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


@contextmanager
def _told(option: str, file: Path, remedy: str = "") -> Iterator[None]:
    """Name the option whose file cannot be written."""
    try:
        yield
    except OSError as error:
        raise DeepfakeError(f"{option} {file}: {error.strerror or error}{remedy}") from error


def _make_folder(option: str, folder: Path) -> None:
    probe = folder / ".writable"
    with _told(option, folder, ". Give a folder that can be written."):
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()


def _try_file(option: str, file: Path) -> None:
    there = file.exists()
    with _told(option, file):
        file.open("ab").close()
        if not there:
            file.unlink()


def _replace_lines(file: Path, entries: Sequence[Entry]) -> None:
    partial = file.with_name(f".{file.name}.part")
    partial.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    partial.replace(file)


def _write_json(target: str, entries: Sequence[Entry]) -> None:
    text = json.dumps(entries, indent=2, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
        return
    with _told("--json", Path(target)):
        Path(target).write_text(text, encoding="utf-8")


def _write_table(file: Path, entries: Sequence[Entry]) -> None:
    rows = [
        {
            **{name: e[name] for name in ("label", "score", "calibrated", "looked_for")},
            **{name: _text(e[name]) for name in ("video", "reason")},
            "threshold": None if e["label"] == FAILED else e["threshold"],
            "people": len(e["tracks"]),
            "faces": len(e["faces"]),
        }
        for e in entries
    ]
    with _told("--table", file):
        if file.suffix.lower() == ".csv":
            with file.open("w", encoding="utf-8", newline="") as stream:
                writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
        else:
            import pyarrow as pa
            import pyarrow.parquet as pq

            table = pa.Table.from_pylist(rows, schema=pa.schema(list(COLUMNS.items())))
            pq.write_table(table, file)


def _text(name: str) -> str:
    """Return a file name as text that any encoding of Unicode can hold."""
    return name.encode("utf-8", "backslashreplace").decode()
