"""Fuzz our parsers, guided by coverage: `pip install atheris`, then

    python -m tests.reliability.fuzz PARSER [--seconds 60] [--corpus DIR]

for one of record, manifest, options, failures, labels, settings. `make fuzz` does all of them.
Inputs that reach new code are kept in the corpus; one that fails is written as `crash-...`.
"""

import argparse
import sys
import tempfile
from pathlib import Path

PURE = ("record", "manifest", "options", "failures", "labels", "settings")  # parsed in Python


def main() -> None:
    """Fuzz one parser for a bounded time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parser", choices=PURE)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path)
    given = parser.parse_args()
    try:
        import atheris
    except ImportError:
        sys.exit("error: fuzzing needs atheris (Linux): pip install atheris")
    with atheris.instrument_imports(include=["preprocessing", "deepfake"]):
        from tests.reliability import parsers
    chosen = parsers.PARSERS[given.parser]
    corpus = given.corpus or Path(tempfile.mkdtemp(prefix=f"corpus-{given.parser}-"))
    corpus.mkdir(parents=True, exist_ok=True)
    (corpus / "seed").write_bytes(parsers.seeds()[given.parser])
    arguments = [f"-max_total_time={given.seconds}", "-max_len=4096", "-timeout=10"]
    atheris.Setup(
        [sys.argv[0], str(corpus), *arguments],
        lambda data: parsers.refuses_or_reads(chosen, data),
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
