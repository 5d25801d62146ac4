"""Every experiment of configs/ trains a step, with its network made small."""

from pathlib import Path

import pytest
import torch

from deepfake.train import config_folder
from deepfake.training import train

CONFIGS = sorted(config_folder().glob("*.yaml"))
NETWORK = "--model.network.init_args."
SMALL_VIT = {"pretrained": False, "dim": 48, "depth": 1, "heads": 2, "mlp_dim": 48}
SMALL_ENCODER = {
    **{f"encoder.init_args.{name}": value for name, value in SMALL_VIT.items()},
    "encoder.init_args.image_size": 64,
}
SMALL: dict[str, dict[str, object]] = {  # what makes the network small; the size of its input
    "default": {**SMALL_VIT, "image_size": 64},
    "cpu_small": {**SMALL_VIT, "image_size": 64},
    "efficient_vit": {**SMALL_VIT, "image_size": 64, "patch_size": 2},
    "cross_efficient_vit": {
        "pretrained": False,
        "image_size": 64,
        "deep_patch": 2,
        "shallow_patch": 16,
        "depth": 1,
        "mlp_dim": 64,
    },
    "convit": {"pretrained": False, "image_size": 64, "depth": 2, "local_depth": 1},
    "cmt": {"image_size": 64},
    "xception": {"pretrained": False},
    "efficientnet_b4_sbi": {"pretrained": False, "name": "efficientnet-b0"},
    "clip_norm_tuning": {"pretrained": False, "name": "test_vit", "image_size": 64},
    "blend_real_only": {"pretrained": False, "name": "test_vit", "image_size": 64},
    "blend_real_only_cpu": {"pretrained": False},
    "frame_transformer": {**SMALL_ENCODER, "dim": 32, "heads": 2, "depth": 1},
    "attention_pooling": {**SMALL_ENCODER, "dim": 16},
}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_config_trains(
    config: Path, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = SMALL[config.stem]
    run = train(
        [
            f"--config={config_folder() / 'default.yaml'}",
            *([f"--config={config}"] if config.stem != "default" else []),
            *(f"{NETWORK}{name}={str(value).lower()}" for name, value in small.items()),
            f"--data.root={faces}",
            "--data.batch_size=2",
            "--data.num_workers=0",
            "--data.frames_per_video=1",
            f"--data.recipe.image_size={96 if config.stem == 'xception' else 64}",
            f"--runs={tmp_path}",
            "--trainer.max_epochs=1",
            "--trainer.check_val_every_n_epoch=1",
            "--trainer.limit_train_batches=1",
            "--trainer.logger=false",
            "--test=false",
        ]
    )
    saved = torch.load(run / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 1
    assert saved["deepfake"]["network"]["class_path"].startswith("deepfake.models.")
    assert (run / "best.ckpt").is_file()
    assert capsys.readouterr().out == ""
