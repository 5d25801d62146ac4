"""Make the files of the model that is shipped: `python -m recipes.default_model.release best.ckpt`.

The same checkpoint gives the same files, byte for byte, with the same versions of packages.
"""

import argparse
import logging
import shutil
from pathlib import Path

from deepfake.checkpoints.export import Format, export
from deepfake.checkpoints.loading import WEIGHTS, load_network, sha256
from deepfake.cli.console import DONE, run

logger = logging.getLogger(__name__)

GRAPH, TENSORS, SETTINGS = "default.onnx", "default.safetensors", "default.json"
FORMATS: dict[str, Format] = {TENSORS: "safetensors", GRAPH: "onnx"}
CONFIG = "config.yaml"


def release(checkpoint: Path, folder: Path) -> list[Path]:
    """Write weights, graph, settings, training configuration and their SHA-256; return the files.

    Args:
        checkpoint: Of `python -m deepfake.train`; the configuration is taken from beside it.
        folder: Where to.
    """
    _, settings = load_network(checkpoint)
    for name, kind in FORMATS.items():
        parity = export(checkpoint, kind, folder / name, half=True)
        logger.info("%s: largest difference of scores %.1e", name, parity.difference)
    (folder / SETTINGS).write_text(settings.to_json() + "\n", encoding="utf-8")
    files = [folder / name for name in (GRAPH, TENSORS, SETTINGS)]
    config = checkpoint.parent / CONFIG
    if config.is_file():
        shutil.copyfile(config, folder / CONFIG)
        files.append(folder / CONFIG)
    else:
        logger.warning("No %s beside the checkpoint, so none is released", CONFIG)
    lines = [f"{sha256(file)}  {file.name}\n" for file in files]
    (folder / "SHA256").write_text("".join(lines), encoding="ascii")
    return [*files, folder / "SHA256"]


def main() -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.default_model.release", description=__doc__
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    given = parser.parse_args()
    for file in release(given.checkpoint, given.out):
        logger.info("%s (%d bytes)", file, file.stat().st_size)
    return DONE


if __name__ == "__main__":
    run(main)
