"""Say whether clips are fake: `python -m deepfake.predict clip.mp4`."""

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepfake.cli.console import (
    DONE,
    INTERRUPTED,
    NOTHING_DONE,
    SOME_FAILED,
    Parser,
    add_imports,
    one_line,
    print_error,
    print_note,
    progress_bar,
    run,
    seconds,
)
from deepfake.cli.limits import add_limits, limits_of
from deepfake.cli.outside import import_and_make, import_modules
from deepfake.report.languages import LANGUAGES

if TYPE_CHECKING:
    from deepfake.inference import VideoPredictor
    from deepfake.inference.panel import Panel
    from deepfake.inference.worker import Clip, Judged
    from deepfake.report.outputs import Entry, Outputs
    from deepfake.types import Verdict
    from preprocessing.workers.local import Outcome

SHOTS = 8  # that are printed, those with the highest scores


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = Parser(
        prog="python -m deepfake.predict",
        description="Judge whether the people in clips are real or fake. A verdict is a "
        "statistical statement of one model, not evidence by itself.",
        epilog="Exit status: 0 every clip judged (also as undecided), 1 some could not be read, "
        "2 none could, 130 interrupted.",
    )
    add = parser.add_argument
    add("clips", nargs="+", help="files, folders or patterns of videos and photographs")
    add(
        "--checkpoint",
        type=Path,
        action="append",
        help="default: runs/latest, else the model that is shipped; given several times, each "
        "judges, and all together",
    )
    add(
        "--panel",
        type=Path,
        metavar="FILE",
        help="how several checkpoints become one answer: the panel.json that evaluate wrote of "
        "them (default: a clip is called something where all that decide agree)",
    )
    add(
        "--backend",
        choices=("auto", "torch", "onnx", "openvino"),
        default="auto",
        help="what runs the network (default: auto, the file's own)",
    )
    add("--aggregate", metavar="RULE", help="from faces to a verdict (default: the checkpoint's)")
    add(
        "--frames",
        type=int,
        help="evenly over each clip; short shots get some more (default: the "
        "checkpoint's, and more of long clips)",
    )
    add("--fps", type=float, help="frames per second of video, instead of a fixed number")
    add("--start", type=seconds, default=0.0, help="begin of the span looked at: 83.5 or 1:23.5")
    add("--end", type=seconds, help="its end")
    add("--only-person", type=int, metavar="K", help="judge this person alone, by their number")
    add("--json", metavar="FILE", help="write a list of the whole verdicts; - for standard output")
    add(
        "--jsonl",
        type=Path,
        metavar="FILE",
        help="write them a line each, as they come; a run that finds lines of an earlier one, with "
        "the same clips and settings, goes on where that stopped",
    )
    add("--table", type=Path, metavar="FILE", help="write one row per clip, as .csv or .parquet")
    add("--report", type=Path, metavar="DIR", help="write a page per clip that shows who and when")
    add("--annotate", type=Path, metavar="DIR", help="write each clip with boxes and scores in it")
    add(
        "--trust",
        type=Path,
        metavar="PEM",
        help="certificates of those whose Content Credentials the page calls trusted",
    )
    add("--language", choices=LANGUAGES, default="en", help="of what is told (default: en)")
    add("--paths", action="store_true", help="name whole paths on pages, not only files")
    add("--evidence", type=Path, metavar="DIR", help="write a signed bundle per clip, for verify")
    add(
        "--signing-key",
        type=Path,
        metavar="PEM",
        help="Ed25519 key that signs them, made if missing (default: ~/.config/deepfake)",
    )
    add("--workers", type=int, default=1, help="processes that read clips (default: 1)")
    add("--timeout", type=float, default=900.0, help="give a clip up after this many seconds")
    add("--engine", choices=("local", "ray"), default="local", help="where (default: local)")
    add("--address", help="of a Ray cluster's head; auto for a running one")
    add("--judges", type=int, default=0, help="processes of a cluster that only judge")
    add_imports(parser)
    add_limits(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    arguments = parser().parse_args(argv)
    import_modules(arguments.imports)
    _check(arguments)

    from deepfake.checkpoints.loading import load_with
    from deepfake.cli.inputs import find_clips
    from deepfake.evaluation.stacking import read_stack
    from deepfake.inference import VideoPredictor
    from deepfake.inference.clips import clip_for
    from deepfake.inference.panel import Panel
    from deepfake.report.languages import translator
    from deepfake.report.outputs import FAILED, Outputs, tally

    outputs = Outputs(**{field.name: getattr(arguments, field.name) for field in fields(Outputs)})
    outputs.prepare()
    members = [
        VideoPredictor(
            load_with(path, arguments.backend),
            aggregation=arguments.aggregate,
            frames=arguments.frames,
            only_person=arguments.only_person,
        )
        for path in arguments.checkpoint or [None]
    ]
    predictor: VideoPredictor | Panel = members[0]
    if len(members) > 1 or arguments.panel is not None:
        stack = None if arguments.panel is None else read_stack(arguments.panel)
        predictor = Panel(members, stack)
    quiet, say = arguments.json == "-", translator(arguments.language)
    if not quiet:
        print(one_line(say(f"checkpoint: {predictor.name}")))
        for note in dict.fromkeys(m.checkpoint.note for m in members if m.checkpoint.note):
            print(one_line(say(note)))
    entries: dict[Path, Entry] = {}
    start_s, end_s, fps = arguments.start, arguments.end, arguments.fps
    looked: dict[str, Any] = {"start_s": start_s, "end_s": end_s, "fps": fps}
    limits, paths = limits_of(arguments), find_clips(arguments.clips)
    clips = [clip_for(predictor, path, **looked, limits=limits) for path in paths]
    settings = {**predictor.settings(), "looked": looked}
    entries.update(outputs.earlier(paths, settings))
    if entries:
        print_note(say(f"{len(entries)} of {len(clips)} clips were judged by an earlier run"))
    left = [clip for clip in clips if clip.path not in entries]
    try:
        failed = _judge(left, predictor, arguments, outputs, looked, entries)
    except KeyboardInterrupt:
        how = "run this again" if outputs.resumable else "with --jsonl FILE, run it again"
        print_error(f"interrupted after {len(entries)} of {len(clips)} clips; {how} to go on")
        return INTERRUPTED
    finally:
        # In the order that they were given, not as the workers were done.
        outputs.finish([entries[path] for path in paths if path in entries])
    if len(clips) > 1:
        (print_note if quiet else print)(say(tally(list(entries.values()))))
        if not quiet and any(entry["label"] == "undecided" for entry in entries.values()):
            print(say("what helps with the undecided: judge one alone, or see its page (--report)"))
    if not failed:
        return DONE
    return NOTHING_DONE if all(e["label"] == FAILED for e in entries.values()) else SOME_FAILED


def _judge(
    clips: "Sequence[Clip]",
    predictor: "VideoPredictor | Panel",
    arguments: argparse.Namespace,
    outputs: "Outputs",
    looked: dict[str, Any],
    entries: "dict[Path, Entry]",
) -> int:
    """Judge clips into `entries`, print and write what is said of them; return the failures."""
    from deepfake.errors import VideoError
    from deepfake.report.languages import translator
    from deepfake.report.outputs import failure

    say = translator(arguments.language)
    failed, alone = 0, len(clips) == 1
    for outcome in _outcomes(clips, predictor, arguments):
        path = outcome.task.path
        if outcome.result is None:
            failed += 1
            reason = _about(path, outcome.reason)
            print_error(reason)
            entries[path] = outputs.note(failure(path, reason, predictor))
            continue
        verdict, extraction = outcome.result.verdict, outcome.result.extraction
        verdict = replace(verdict, provenance={**verdict.provenance, "looked": looked})
        written: list[Path] = []
        try:
            if extraction is not None:
                written = outputs.add(verdict, extraction, predictor)
        except VideoError as error:
            failed += 1
            print_error(str(error))
        entries[path] = outputs.note(verdict.to_dict())
        if arguments.json != "-":
            print(describe(verdict, alone=alone, say=say), flush=True)
            for file in written:
                print(one_line(f"  {say('written:')} {file}"), flush=True)
    return failed


def _check(arguments: argparse.Namespace) -> None:
    from deepfake.aggregation import RULES, Aggregator
    from deepfake.errors import DeepfakeError

    if arguments.fps is not None and not 0 < arguments.fps < math.inf:
        raise DeepfakeError(f"--fps must be above 0, got {arguments.fps}")
    if arguments.fps is not None and arguments.frames is not None:
        raise DeepfakeError("--frames and --fps exclude each other; give one of them")
    if arguments.judges < 0 or (arguments.judges and arguments.engine != "ray"):
        raise DeepfakeError("--judges is a number of processes, from 1, of --engine ray")
    if arguments.engine == "ray":
        _check_ray(arguments)
    if arguments.aggregate is not None and arguments.aggregate not in RULES:
        if "." not in arguments.aggregate:
            raise DeepfakeError(
                f"--aggregate {arguments.aggregate}: no such rule. Choose of {', '.join(RULES)}, "
                "or a class of your own: my_rules.MyRule."
            )
        import_and_make(arguments.aggregate, Aggregator)


def _check_ray(arguments: argparse.Namespace) -> None:
    from deepfake.errors import DeepfakeError, require
    from preprocessing.workers.ray import RAY

    if len(arguments.checkpoint or []) > 1 or arguments.panel is not None:
        raise DeepfakeError("Several checkpoints judge on this machine: leave out --engine ray.")

    if arguments.sandbox:
        raise DeepfakeError("--sandbox confines local workers: leave out --engine ray.")
    require(*RAY)


def _outcomes(
    clips: "Sequence[Clip]", predictor: "VideoPredictor | Panel", arguments: argparse.Namespace
) -> Iterator["Outcome[Clip, Judged]"]:
    from deepfake.inference.clips import judge_clips, judge_on_cluster

    timeout_s: float = arguments.timeout
    if arguments.engine == "ray":
        judged = judge_on_cluster(
            clips,
            predictor.members[0],  # a panel is refused by _check
            (arguments.checkpoint or [None])[0],
            backend=arguments.backend,
            imports=arguments.imports,
            faces=bool(arguments.report or arguments.annotate or arguments.evidence),
            judges=arguments.judges,
            address=arguments.address,
            timeout_s=timeout_s,
        )
    else:
        workers, sandbox = arguments.workers, arguments.sandbox
        judged = judge_clips(
            clips, predictor, workers=workers, timeout_s=timeout_s, sandbox=sandbox
        )
    if not sys.stderr.isatty():  # importing rich costs 0.06 CPU s
        yield from judged
        return
    with progress_bar() as bar:
        task = bar.add_task("clips", total=len(clips), rate="")
        for outcome in judged:
            bar.update(task, advance=1)
            yield outcome


def _about(path: Path, reason: str) -> str:
    if str(path) in reason:
        return reason
    return f"{path}: {reason.removeprefix(path.name).lstrip(': ')}"


def describe(verdict: "Verdict", *, alone: bool = True, say: Callable[[str], str] = str) -> str:
    """Return the verdict in words; `say` translates, `alone` adds what helps."""
    from deepfake.report.advice import steps, weaknesses

    lines = [f"  {verdict.scope}"] if verdict.label == "real" else []
    if verdict.reason:
        lines.append(f"  {verdict.reason}")
    if alone and (helps := steps(verdict)):
        lines += ["  what helps:", *(f"    - {step}" for step in helps)]
    if verdict.likelihood_ratio is not None:
        lines.append(f"  whatever the share of fakes: {verdict.likelihood_ratio}")
    lines += [f"  {method}" for method in verdict.methods]
    stride = verdict.provenance.get("frames_thinned", 1)
    if stride != 1:
        lines.append(f"  one of {stride} frames was kept, to hold memory")
    for person in verdict.tracks:
        span = f"  {person.start_s:.1f}-{person.end_s:.1f} s" if person.end_s else ""
        faces = f"{person.faces} {'face' if person.faces == 1 else 'faces'}"
        lines.append(f"  person {person.person}: {verdict.shown(person.score)}{span}  {faces}")
        if person.left_out:
            lines.append(f"    left out: {person.left_out}")
        lines += [
            f"    {verdict.moment(interval)} {interval.start_s:.1f}-{interval.end_s:.1f} s"
            f" ({verdict.shown(interval.score)})"
            for interval in verdict.intervals
            if interval.track == person.track
        ]
    lines += _shots(verdict)
    name, head = verdict.video, str(verdict).removeprefix(f"{verdict.video}: ")
    weak = ", ".join(weaknesses(verdict))
    gate = [f"{name}: {say(f'expect an unsure answer: {weak}')}"] if weak else []
    return "\n".join(map(one_line, [*gate, f"{name}: {say(head)}", *map(say, lines)]))


def _shots(verdict: "Verdict") -> list[str]:
    """Return a line for each shot that was judged, of many for those with the highest scores."""
    judged = [shot for shot in verdict.shots if shot.score is not None]
    found, seen = (verdict.provenance.get(name, 1) for name in ("shots_found", "shots_seen"))
    lines = [f"  {found - seen} of {found} shots were not looked at"] if seen < found else []
    if len(verdict.shots) < 2 or not judged:
        return lines
    best = sorted(judged, key=lambda shot: -(shot.score or 0.0))[:SHOTS]
    lines += [
        f"  shot {shot.start_s:.1f}-{shot.end_s:.1f} s: {verdict.shown(shot.score or 0.0)}"
        f"  {shot.faces} {'face' if shot.faces == 1 else 'faces'}"
        for shot in sorted(best, key=lambda shot: shot.start_s)
    ]
    if more := len(judged) - len(best):
        lines.append(f"  {more} more shots score {verdict.shown(best[-1].score or 0.0)} at most")
    return lines


if __name__ == "__main__":
    run(lambda: main(sys.argv[1:]))
