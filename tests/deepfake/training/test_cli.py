"""`deepfake.training.train` on a small folder of faces."""

import csv
import json
import logging
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from deepfake.checkpoints.settings import KEY, Settings
from deepfake.errors import CheckpointError, DeepfakeError, LeakError
from deepfake.train import main
from deepfake.training import train
from deepfake.training.cli import make
from deepfake.training.resuming import Start
from preprocessing.crops.manifest import MANIFEST, read_table

MESO = """
model:
  network:
    class_path: deepfake.models.mesonet.Meso4
    init_args: {image_size: 64}
  optimizer: {class_path: torch.optim.Adam, init_args: {lr: 0.01}}
  lr_scheduler:
    class_path: torch.optim.lr_scheduler.StepLR
    init_args: {step_size: 1, gamma: 0.5}
data:
  batch_size: 4
  num_workers: 0
  frames_per_video: 2
  recipe: {image_size: 64}
trainer: {max_epochs: 3}
"""

Arguments = Callable[..., list[str]]


@pytest.fixture
def given(faces: Path, tmp_path: Path) -> Arguments:
    """Arguments of a run of Meso4; options are added."""
    settings = tmp_path / "meso.yaml"
    settings.write_text(MESO)
    return lambda *more: [
        f"--config={settings}",
        f"--data.root={faces}",
        f"--runs={tmp_path / 'runs'}",
        *more,
    ]


def curves(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_run_writes_what_repeats_it(given: Arguments, capsys: pytest.CaptureFixture[str]) -> None:
    run = train(given())
    assert capsys.readouterr().out == ""
    assert (run.parent / "latest").resolve() == run.resolve()
    for name in ("best.ckpt", "last.ckpt", "config.yaml", "metrics.csv", "curves.png", "run.json"):
        assert (run / name).stat().st_size > 0, name
    facts = json.loads((run / "run.json").read_text())
    assert facts["seed"] == "0"
    assert len(facts["manifest_sha256"]) == 64
    assert {"command", "commit", "versions", "hardware", "python"} <= set(facts)
    settings = yaml.safe_load((run / "config.yaml").read_text())
    assert settings["model"]["network"]["class_path"] == "deepfake.models.mesonet.Meso4"
    names = set(curves(run)[-1])
    assert {"train/loss", "val/loss", "val/video_auroc", "test/video_auroc"} <= names
    # Same seed, same curve; and what the run wrote repeats it.
    again = train(["--config", str(run / "config.yaml")])
    assert again != run
    assert curves(again) == curves(run)
    other = train(given("--seed_everything=1"))
    assert curves(other) != curves(run)


def test_a_run_goes_on_where_it_stopped(given: Arguments, caplog: pytest.LogCaptureFixture) -> None:
    whole = train(given("--seed_everything=7"))
    half = train(given("--seed_everything=7", "--trainer.max_epochs=2"))
    runs = half.parent
    with (half / "metrics.csv").open("a") as file:  # half an epoch more, as a killed run leaves it
        columns = curves(half)[0]
        file.write(",".join("2" if name == "epoch" else "" for name in columns) + "\n")
    assert (runs / "latest").resolve() == half.resolve()
    with caplog.at_level(logging.INFO):
        resumed = train(["--ckpt_path=last", f"--runs={runs}", "--trainer.max_epochs=3"])
    assert resumed.resolve() == half.resolve()
    assert curves(resumed) == curves(whole)
    assert "epoch 2: train/loss" in caplog.text
    assert "epoch 1: " not in caplog.text
    ours = torch.load(resumed / "last.ckpt", weights_only=True)["state_dict"]
    theirs = torch.load(whole / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    facts = json.loads((resumed / "run.json").read_text())
    assert len(facts["resumed"]) == 1


def test_another_checkpoint_begins_a_new_run(given: Arguments) -> None:
    first = train(given("--trainer.max_epochs=1", "--test=false"))
    more = given(f"--ckpt_path={first / 'best.ckpt'}", "--trainer.max_epochs=2", "--test=false")
    second = train(more)
    assert second != first
    assert {row["epoch"] for row in curves(second)} == {"1"}


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return exec, (f"open({str(self.path)!r}, 'w').close()",)


@pytest.mark.parametrize("plain_pickle", [False, True])
def test_a_checkpoint_that_needs_code_is_refused_unrun(
    given: Arguments, tmp_path: Path, plain_pickle: bool
) -> None:
    crafted, mark = tmp_path / "last.ckpt", tmp_path / "exploded"
    if plain_pickle:
        crafted.write_bytes(pickle.dumps(Bomb(mark)))
    else:
        torch.save({"state_dict": {}, "loops": Bomb(mark)}, crafted)
    with pytest.raises(CheckpointError):
        train(given(f"--ckpt_path={crafted}"))
    assert not mark.exists()
    assert not (tmp_path / "runs").exists()


def test_checkpoints_that_do_not_fit_are_named(
    given: Arguments, tmp_path: Path, checkpoint: Path
) -> None:
    with pytest.raises(CheckpointError, match="No checkpoint to go on from"):
        train(given("--ckpt_path=last"))
    with pytest.raises(CheckpointError, match="not a checkpoint of a training"):
        train(given(f"--ckpt_path={checkpoint}"))
    run = train(given("--trainer.max_epochs=1", "--test=false"))
    other = "--model.network=deepfake.models.mesonet.MesoInception4"
    with pytest.raises(CheckpointError, match="MesoInception4"):
        train(given(f"--ckpt_path={run / 'best.ckpt'}", other))
    assert len(list((tmp_path / "runs").iterdir())) == 2  # the run and "latest"


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--data.batch_size=0", "batch_size must be"),
        ("--data.batch_size=many", "data.batch_size"),
        ("--data.rot=x", "data.rot"),
        ("--model.layer_decay=2", "layer_decay must lie"),
        ("--model.network=deepfake.models.mesonet.Meso5", "Meso5"),
        ("--model.optimizer.init_args.lr=-1", "Invalid learning rate"),
        ("--trainer.precision=17", "17"),
        ("--trainer.max_epoch=3", "max_epoch"),
        ("--config=nowhere.yaml", "nowhere.yaml"),
        ("--data.frames=2", "Meso4 does not take clips of --data.frames 2"),
        ("--data.recipe.image_size=96", "faces of .*--data.recipe.image_size 96"),
    ],
)
def test_wrong_settings_are_one_line(
    given: Arguments, tmp_path: Path, argument: str, words: str
) -> None:
    with pytest.raises(DeepfakeError, match=words) as caught:
        train(given(argument))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert not list((tmp_path / "runs").glob("*"))


def test_help_is_that_of_the_class_that_would_be_used(
    given: Arguments, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        train(given("--model.optimizer.help"))
    assert not ended.value.code
    assert "torch.optim.Adam" in capsys.readouterr().out


def test_weights_that_cannot_be_downloaded_are_one_line(
    given: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr("timm.create_model", unreachable)
    network = "--model.network=deepfake.models.timm_classifier.TimmClassifier"
    wanted = ["--model.network.name=resnet18", "--model.network.pretrained=true"]
    with pytest.raises(DeepfakeError, match=r"not known.*pretrained false"):
        train(given(network, *wanted))
    assert not list((tmp_path / "runs").glob("*"))


def test_another_network_does_not_take_over_pretrained(given: Arguments, tmp_path: Path) -> None:
    first = tmp_path / "first.yaml"
    first.write_text(
        "model: {network: {class_path: deepfake.models.EfficientViT, init_args: "
        "{backbone: tf_efficientnet_lite0, pretrained: true}}}\n"
    )
    classifier = "deepfake.models.timm_classifier.TimmClassifier"

    def pretrained(*more: str) -> bool:
        arguments = [f"--config={first}", f"--data.root={tmp_path}", *more]
        wanted: bool = make(Start(arguments)).config.model.network.init_args.pretrained
        return wanted

    other = [f"--model.network={classifier}", "--model.network.name=tf_efficientnet_lite0"]
    small = ["--data.recipe.image_size=64", f"--runs={tmp_path / 'runs'}"]
    assert not pretrained(*other, *small)
    assert pretrained(*other, "--model.network.pretrained=true", *small)
    same = "--model.network=deepfake.models.efficient_vit.EfficientViT"
    size = "--model.network.image_size=64"
    assert pretrained(same, size, *small)


def test_without_data_there_are_two_remedies(given: Arguments, tmp_path: Path) -> None:
    with pytest.raises(DeepfakeError, match=r"deepfake\.preprocess.*--data\.root"):
        train(given(f"--data.root={tmp_path / 'none'}"))


def test_a_leaky_split_is_refused(given: Arguments, faces: Path, tmp_path: Path) -> None:
    leaky = tmp_path / "leaky"
    shutil.copytree(faces, leaky)
    table = read_table(faces)
    split = [
        "test" if key == "fake/p0" else side  # made from real/p0, which is trained on
        for key, side in zip(table["video"].to_pylist(), table["split"].to_pylist(), strict=True)
    ]
    index = table.schema.get_field_index("split")
    pq.write_table(table.set_column(index, table.schema.field("split"), [split]), leaky / MANIFEST)
    with pytest.raises(LeakError, match="allow_leaks"):
        train(given(f"--data.root={leaky}"))


def test_callbacks_and_loggers_are_added_to_the_runs_own(given: Arguments, tmp_path: Path) -> None:
    averaging = (
        '{"class_path": "pytorch_lightning.callbacks.EMAWeightAveraging", '
        '"init_args": {"decay": 0.5}}'
    )
    logger = (
        '{"class_path": "pytorch_lightning.loggers.CSVLogger", "init_args": {"save_dir": "%s"}}'
    )
    run = train(
        given(
            f"--trainer.callbacks=[{averaging}]",
            f"--trainer.logger={logger % (tmp_path / 'more')}",
            "--trainer.max_epochs=1",
        )
    )
    assert curves(run)
    assert list((tmp_path / "more").rglob("metrics.csv"))
    assert (run / "config.yaml").is_file()
    saved = torch.load(run / "last.ckpt", weights_only=True)  # with the averaged weights
    raw, kept = saved["current_model_state"], saved["state_dict"]
    name = "network.layers.0.0.0.weight"
    assert not torch.equal(raw[name], kept[name])


@pytest.mark.slow
def test_lightning_finds_rate_and_batch_size(given: Arguments) -> None:
    finders = (
        '[{"class_path": "pytorch_lightning.callbacks.LearningRateFinder", '
        '"init_args": {"num_training_steps": 4}}, '
        '{"class_path": "pytorch_lightning.callbacks.BatchSizeFinder", '
        '"init_args": {"max_trials": 1, "init_val": 2, "steps_per_trial": 1}}]'
    )
    run = train(given(f"--trainer.callbacks={finders}", "--trainer.max_epochs=1", "--test=false"))
    assert (run / "best.ckpt").is_file()


def test_the_command_prints_a_table(
    given: Arguments, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert main(given("--trainer.max_epochs=1")) == 0
    out = capsys.readouterr().out
    assert "validation, epoch 0" in out
    assert "video_auroc" in out
    assert "next: python -m deepfake.predict" in out


def relabelled(faces: Path, folder: Path, label: Callable[[int, str], int]) -> Path:
    """Copy a folder of faces with other labels, made of the old one and the side."""
    shutil.copytree(faces, folder)
    table = read_table(faces)
    old, sides = table["label"].to_pylist(), table["split"].to_pylist()
    labels = [label(*each) for each in zip(old, sides, strict=True)]
    place, field = table.schema.get_field_index("label"), table.schema.field("label")
    column = pa.array(labels, field.type)
    pq.write_table(table.set_column(place, field, column), folder / MANIFEST)
    return folder


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (lambda old, side: 0 if side == "val" else old, "4 real and 0 fake"),
        (lambda _, side: int(side != "test"), "0 real"),
        (lambda *_: 1, "0 real"),
    ],
    ids=["validation of reals", "reals for tests alone", "only fakes"],
)
def test_a_side_without_one_label_is_told_before_the_first_epoch(
    given: Arguments, faces: Path, tmp_path: Path, label: Callable[[int, str], int], words: str
) -> None:
    folder = relabelled(faces, tmp_path / "one", label)
    with pytest.raises(DeepfakeError, match=words):
        main(given(f"--data.root={folder}", "--data.allow_leaks=true"))
    assert not list((tmp_path / "runs").rglob("*.ckpt"))


def test_a_loss_that_is_no_number_ends_the_run(given: Arguments, tmp_path: Path) -> None:
    with pytest.raises(DeepfakeError, match=r"Stopped in epoch .*: val/loss is nan.*learning rate"):
        main(given("--model.optimizer.init_args.lr=1e30"))
    assert not list((tmp_path / "runs").rglob("best.ckpt"))


def test_a_calibration_never_outlives_its_weights(given: Arguments) -> None:
    run = train(given("--trainer.check_val_every_n_epoch=2", "--test=false"))
    kept = {name: torch.load(run / name, weights_only=True) for name in ("best.ckpt", "last.ckpt")}
    assert {name: saved["epoch"] for name, saved in kept.items()} == {
        "best.ckpt": 1,
        "last.ckpt": 2,
    }
    stored = {name: Settings.from_dict(saved[KEY], run / name) for name, saved in kept.items()}
    assert stored["best.ckpt"].calibration.fitted
    assert stored["best.ckpt"].validation is not None
    assert not stored["last.ckpt"].calibration.fitted
    assert stored["last.ckpt"].validation is None
