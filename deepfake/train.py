"""Train a detector: `python -m deepfake.train`, with `--config FILE` for another experiment."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from deepfake.cli.console import DONE, INTERRUPTED, Parser, add_imports, command, run
from deepfake.cli.outside import import_modules
from deepfake.errors import DeepfakeError

HELP = """\
usage: python -m deepfake.train [--config FILE ...] [--SETTING VALUE ...]

Train a network on the crops that preprocess made, keep the checkpoint with the best validation
video AUROC, test it, and write runs/<time>/ (config, metrics.csv, best.ckpt, curves.png).

  --config FILE               an experiment of configs/, laid over configs/default.yaml
  --data.root DIR             folder of crops (default: data/faces)
  --data.batch_size N         faces a batch
  --data.fakes KIND           videos, self_blended or mixed
  --model.network CLASS       network, such as deepfake.models.EfficientViT
  --model.optimizer CLASS     such as torch.optim.SGD
  --trainer.max_epochs N      epochs at most
  --trainer.precision P       such as bf16-mixed
  --seed_everything N         seed (default: 0)
  --name NAME                 write runs/NAME/seed<N>/; evaluate gives seeds of a name one row
  --ckpt_path FILE|last       go on with a run in its folder, with its settings; last is
                              runs/latest/last.ckpt
  --import MODULE             import a module; class paths in settings need none
  --print_config              print every setting with its value and stop
  --help_all                  describe every setting
  --help_class CLASS          describe the settings of a network, optimizer or loss

Exit status: 0 done, 2 nothing done.
"""


def config_folder() -> Path:
    """Return the folder of configurations, of the checkout or of the installed package."""
    here = Path(__file__).parent
    for folder in (here.parent / "configs", here / "configs"):
        if (folder / "default.yaml").is_file():
            return folder
    raise DeepfakeError(f"No configs/default.yaml beside {here}. Install the package again.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if "-h" in arguments or "--help" in arguments:
        print(HELP, end="")
        return DONE
    own = Parser(add_help=False, allow_abbrev=False)
    add_imports(own)
    given, arguments = own.parse_known_args(arguments)
    import_modules(given.imports)  # and from now on, what lies where the command runs

    from deepfake.training import train

    renamed = [_renamed(argument) for argument in arguments]
    try:
        folder = train(["--config", str(config_folder() / "default.yaml"), *renamed])
    except KeyboardInterrupt:
        return INTERRUPTED
    if (folder / "best.ckpt").is_file() and int(os.environ.get("LOCAL_RANK", "0")) == 0:
        print_measures(folder)
        print(f"next: {command('predict')} clip.mp4  (uses {folder / 'best.ckpt'})")
    return DONE


def print_measures(folder: Path) -> None:
    """Print the measures of a run as a table."""
    from rich.console import Console
    from rich.table import Table

    from deepfake.training.runs import final_measures

    epoch, val, test = final_measures(folder)
    table = Table("measure", f"validation, epoch {epoch}", "test", title=str(folder))
    for name in dict.fromkeys([*sorted(val), *sorted(test)]):
        table.add_row(name, _number(val.get(name)), _number(test.get(name)))
    Console().print(table)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return str(int(value)) if value.is_integer() and value > 1 else f"{value:.4f}"


def _renamed(argument: str) -> str:
    if argument == "--help_all":
        return "--help"
    if argument == "--help_class" or argument.startswith("--help_class="):
        return argument.replace("--help_class", "--model.network.help")
    return argument


if __name__ == "__main__":
    run(lambda: main(sys.argv[1:]))
