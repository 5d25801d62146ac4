"""Which number format training takes, and that its loss is that of float32."""

import platform
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deepfake.checkpoints.allocator import keep_freed_memory
from deepfake.models.efficient_vit import EfficientViT
from deepfake.training.cli import make
from deepfake.training.module import FakeClassifier
from deepfake.training.precision import fast_precision
from deepfake.training.resuming import Start


@pytest.mark.parametrize(("has_it", "expected"), [(True, "bf16-mixed"), (False, "32-true")])
def test_bfloat16_only_where_the_processor_has_it(
    has_it: bool, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_it, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert fast_precision("auto") == fast_precision("cpu") == expected
    assert fast_precision("mps") == "32-true"
    arguments = [
        "--model.network=deepfake.models.mesonet.Meso4",
        "--data.recipe.image_size=256",
        "--trainer.accelerator=cpu",
        "--trainer.logger=false",
        f"--data.root={tmp_path}",
        f"--runs={tmp_path}",
    ]
    assert make(Start(arguments)).trainer.precision == expected
    asked = make(Start([*arguments, "--trainer.precision=64-true"]))
    assert asked.trainer.precision == "64-true"


def test_bfloat16_gives_the_loss_and_the_gradient_of_float32() -> None:
    torch.manual_seed(0)
    network = EfficientViT(
        "efficientnet-b0", stage=5, image_size=64, dim=48, depth=1, heads=2, mlp_dim=48,
        dropout=0.0, embedding_dropout=0.0,
    )  # fmt: skip
    backbone: Any = network.backbone
    backbone.net._global_params = backbone.net._global_params._replace(drop_connect_rate=0.0)
    classifier = FakeClassifier(network).train()
    faces, labels = torch.randn(8, 3, 64, 64), torch.tensor([0.0, 1.0] * 4)
    losses, gradients = [], []
    for narrow in (False, True):
        classifier.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            loss = classifier.criterion(classifier(faces), labels)
        loss.backward()
        losses.append(loss.item())
        parts = [p.grad.flatten() for p in classifier.parameters() if p.grad is not None]
        gradients.append(torch.cat(parts))
    assert losses[1] == pytest.approx(losses[0], abs=0.01)
    assert torch.cosine_similarity(gradients[0], gradients[1], dim=0) > 0.98


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_freed_memory_is_kept_and_used_again() -> None:
    keep_freed_memory()

    def pages() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        np.ones(100 * 2**20, np.uint8)
        return int(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

    pages()
    assert pages() < 1000  # of 25,600
