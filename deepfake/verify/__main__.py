"""Check a bundle of evidence, and judge its clip again: `deepfake verify BUNDLE CLIP`."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deepfake.cli.console import DONE, SOME_FAILED, Parser, one_line, run
from deepfake.errors import DeepfakeError

CLOSE = 1e-3  # of scores: processors and libraries round differently


def parser() -> Parser:
    """Return the command line."""
    parser = Parser(
        prog="python -m deepfake.verify",
        description="Check that no bit of a bundle was changed since it was signed; with the clip, "
        "judge it again as the bundle says and tell what differs.",
        epilog="Exit status: 0 as signed and nothing differs, 1 the verdict differs, 2 the bundle "
        "was changed or cannot be checked.",
    )
    parser.add_argument("bundle", type=Path, help="what predict --evidence wrote")
    parser.add_argument("clip", type=Path, nargs="?", help="the clip, to be judged again")
    parser.add_argument("--checkpoint", type=Path, help="default: as for predict")
    parser.add_argument("--key", metavar="HEX", help="the public key that must have signed it")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    arguments = parser().parse_args(argv)

    from deepfake.verify.bundle import BundleError, read_bundle

    bundle = read_bundle(arguments.bundle)
    if arguments.key and arguments.key.lower() != bundle.key:
        raise BundleError(f"{arguments.bundle} is signed by {bundle.key}, not by {arguments.key}")
    print(one_line(f"{arguments.bundle}: unchanged since {bundle.manifest['time']}"))
    print(f"signed by key {bundle.key}" + (", as asked" if arguments.key else ""))
    if not arguments.key:
        print("whose key that is, the bundle cannot tell: ask the signer and give --key")
    if arguments.clip is None:
        print("not judged again: give the clip as well")
        return DONE
    differences = list(compare(bundle.verdict, arguments.clip, arguments.checkpoint))
    for difference in differences:
        print(one_line(f"differs: {difference}"))
    if not differences:
        print("judged again: the same verdict")
    return SOME_FAILED if differences else DONE


def compare(signed: Mapping[str, Any], clip: Path, checkpoint: Path | None) -> Iterator[str]:
    """Judge a clip as a signed verdict was judged, and yield what differs.

    Raises:
        DeepfakeError: The clip or the model cannot be used.
    """
    from deepfake.checkpoints.loading import load, sha256
    from deepfake.inference import VideoPredictor

    before: dict[str, Any] = signed["provenance"]
    loaded = load(checkpoint)
    try:
        there = sha256(clip)
    except OSError as error:
        raise DeepfakeError(f"{clip}: {error.strerror}") from error
    for name, found in (("clip", there), ("model", loaded.sha256)):
        old = before["sha256" if name == "clip" else "checkpoint_sha256"]
        if old != found:
            yield f"the {name} is another file: SHA-256 {found[:16]}..., signed {old[:16]}..."
    predictor = VideoPredictor(
        loaded,
        aggregation=before["aggregation"],
        frames=None if before.get("grow") else before["preprocess"]["frames"],
        only_person=before["only_person"],
    )
    new = predictor.predict(clip, **(before.get("looked") or {})).to_dict()
    for name in ("preprocess", "version"):
        if before.get(name) != new["provenance"].get(name):
            yield f"{name}: {new['provenance'].get(name)}, signed {before.get(name)}"
    for name in ("label", "reason", "real_below", "fake_from"):
        if signed[name] != new[name]:
            yield f"{name}: {new[name]}, signed {signed[name]}"
    yield from _scores(signed, new)


def _scores(signed: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    scores = [(person["score"], person["person"]) for person in signed["tracks"]]
    again = [(person["score"], person["person"]) for person in new["tracks"]]
    if len(scores) != len(again):
        yield f"people: {len(again)}, signed {len(scores)}"
    rows = [(a, b, f"person {n}") for (a, n), (b, _) in zip(scores, again, strict=False)]
    for old, now, who in [(signed["score"], new["score"], "the clip"), *rows]:
        if (old is None) != (now is None) or (old is not None and abs(old - now) > CLOSE):
            yield f"score of {who}: {now}, signed {old}"


if __name__ == "__main__":
    run(lambda: main(sys.argv[1:]))
