import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn

from deepfake.checkpoints import load
from deepfake.data.datamodule import FaceDataModule
from deepfake.errors import DeepfakeError
from deepfake.feature_losses import AlignmentUniformity
from deepfake.finetuning import StagedUnfreezing
from deepfake.losses import BinaryCrossEntropy
from deepfake.mixing import Mixup
from deepfake.models.cross_efficient_vit import CrossEfficientViT
from deepfake.models.frame_transformer import FrameTransformer
from deepfake.models.mesonet import Meso4
from deepfake.models.network import Network, spec_of
from deepfake.optimizers import SAM
from deepfake.recipe import InputRecipe
from deepfake.training.module import FakeClassifier


class Tiny(Network):
    """A backbone with a batch norm, and a head; counts its passes."""

    num_features = 2

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Flatten(), nn.Linear(12, 2), nn.BatchNorm1d(2))
        self.head = nn.Linear(2, 1)
        self.passes = 0

    def forward_features(self, faces: Tensor) -> Tensor:
        self.passes += 1
        features: Tensor = self.backbone(faces)
        return features


def batches(count: int) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [
        {
            "face": torch.randn(4, 3, 2, 2, generator=generator),
            "label": torch.tensor([0.0, 1.0, 0.0, 1.0]),
            "video": torch.arange(4),
            "track": torch.zeros(4, dtype=torch.long),
            "index": torch.arange(4),
        }
        for _ in range(count)
    ]


def fit(model: FakeClassifier, count: int = 2, **settings: Any) -> Trainer:  # noqa: ANN401
    options: dict[str, Any] = {
        "max_epochs": 1,
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = Trainer(**{**options, **settings})
    trainer.fit(model, torch.utils.data.DataLoader(batches(count), batch_size=None))  # type: ignore[arg-type]
    return trainer


pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step`"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
]


@pytest.mark.parametrize("cross", [False, True], ids=["Meso4", "CrossEfficientViT"])
def test_features_come_from_the_pass_that_gives_the_logits(cross: bool) -> None:
    torch.manual_seed(0)
    small = {"deep_patch": 2, "shallow_patch": 16, "depth": 1, "mlp_dim": 32}
    network: Any = CrossEfficientViT(image_size=64, **small) if cross else Meso4(64)  # type: ignore[arg-type]
    model = FakeClassifier(network, AlignmentUniformity()).eval()
    faces = torch.randn(2, 3, 64, 64)
    logits, features = model.logits_and_features(faces)
    torch.testing.assert_close(logits, network(faces))
    torch.testing.assert_close(features, network.forward_features(faces))


def test_a_loss_on_features_says_what_a_network_without_forward_head_lacks() -> None:
    class Headless(nn.Module):
        def forward_features(self, faces: Tensor) -> Tensor:
            return faces.mean(dim=(2, 3))

        def forward(self, faces: Tensor) -> Tensor:
            return self.forward_features(faces)[:, 0]

    model = FakeClassifier(Headless(), AlignmentUniformity())
    with pytest.raises(DeepfakeError, match="Headless has no forward_head"):
        model.logits_and_features(torch.zeros(2, 3, 4, 4))


def test_a_loss_on_features_takes_one_pass_a_batch() -> None:
    model = FakeClassifier(Tiny(), AlignmentUniformity())
    fit(model, count=3)
    assert model.network.passes == 3


def test_mixing_goes_with_losses_on_logits_only() -> None:
    with pytest.raises(ValueError, match="AlignmentUniformity"):
        FakeClassifier(Tiny(), AlignmentUniformity(), mixing=Mixup())
    seen: list[Tensor] = []

    class Watching(BinaryCrossEntropy):
        def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
            seen.append(labels)
            return super().forward(logits, labels)

    fit(FakeClassifier(Tiny(), Watching(), mixing=Mixup(1.0)))
    assert any(0 < float(value) < 1 for labels in seen for value in labels)


def test_layers_near_the_input_learn_slower() -> None:
    class Deep(Tiny):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = nn.Sequential(nn.Flatten(), nn.Linear(12, 2), nn.Linear(2, 2))

    model = FakeClassifier(Deep(), optimizer=lambda p: torch.optim.SGD(p, lr=1.0), layer_decay=0.5)
    groups = model.configure_optimizers().param_groups
    assert [(group["lr"], len(group["params"])) for group in groups] == [
        (1.0, 2),
        (0.5, 2),
        (0.25, 2),
    ]
    with pytest.raises(ValueError, match="layer_decay"):
        FakeClassifier(Tiny(), layer_decay=0.0)


def test_staged_unfreezing_keeps_the_backbone_as_it_was() -> None:
    torch.manual_seed(0)
    model = FakeClassifier(Tiny(), optimizer=lambda p: torch.optim.SGD(p, lr=0.1))
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    fit(model, callbacks=[StagedUnfreezing(head_epochs=1)])
    after = model.network.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {"head.weight", "head.bias"}
    model = FakeClassifier(Tiny(), optimizer=lambda p: torch.optim.SGD(p, lr=0.1))
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    fit(model, max_epochs=2, callbacks=[StagedUnfreezing(head_epochs=1)])
    after = model.network.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert {"backbone.1.weight", "backbone.2.running_mean"} <= changed


def test_sam_logs_the_loss_before_its_step() -> None:
    torch.manual_seed(0)
    model = FakeClassifier(Tiny(), optimizer=lambda p: SAM(p, rho=5.0))
    with torch.no_grad():
        network = model.network.train()
        expected = BinaryCrossEntropy()(network(batches(1)[0]["face"]), batches(1)[0]["label"])
    trainer = fit(model, count=1)
    assert model.network.passes == 3
    torch.testing.assert_close(trainer.callback_metrics["train/loss"], expected)


def test_sam_refuses_what_would_make_its_passes_disagree() -> None:
    model = FakeClassifier(Tiny(), optimizer=lambda p: SAM(p))
    with pytest.raises(DeepfakeError, match="accumulation"):
        fit(model, accumulate_grad_batches=2)


def test_a_refusing_optimizer_is_one_line() -> None:
    model = FakeClassifier(Tiny(), optimizer=lambda p: torch.optim.SGD(p, lr=-1.0))
    with pytest.raises(DeepfakeError, match="Invalid learning rate"):
        fit(model)


def test_the_network_is_compiled_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Tiny()
    called: list[bool] = []
    monkeypatch.setattr(network, "compile", lambda: called.append(True))
    model = FakeClassifier(network, compile_network=True)
    names = list(model.state_dict())
    fit(model)
    assert called == [True]
    assert list(model.state_dict()) == names


def test_a_plateau_watches_the_validation() -> None:
    def lowered(p: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        # A threshold that no change of loss meets: every epoch but the first is a plateau.
        return torch.optim.lr_scheduler.ReduceLROnPlateau(
            p, factor=0.1, patience=0, threshold=1e6, threshold_mode="abs"
        )

    model = FakeClassifier(
        Tiny(), optimizer=lambda p: torch.optim.SGD(p, lr=1.0), lr_scheduler=lowered
    )
    loader: torch.utils.data.DataLoader[Any] = torch.utils.data.DataLoader(
        batches(1),  # type: ignore[arg-type]
        batch_size=None,
    )
    trainer = Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(model, loader, loader)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.01)


def test_a_classifier_made_in_python_gives_a_checkpoint_that_is_read(
    faces: Path, tmp_path: Path
) -> None:
    data = FaceDataModule(faces, batch_size=4, num_workers=0, recipe=InputRecipe(64), frames=2)
    network = FrameTransformer(Meso4(image_size=64), frames=2, dim=16, depth=1, heads=2)
    model = FakeClassifier(network)
    trainer = Trainer(fast_dev_run=1, accelerator="cpu", enable_model_summary=False)
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(tmp_path / "own.ckpt")
    read = load(tmp_path / "own.ckpt")
    clips = np.random.default_rng(0).normal(size=(2, 2, 3, 64, 64)).astype(np.float32)
    with torch.no_grad():
        expected = network.eval()(torch.from_numpy(clips)).sigmoid().numpy()
    assert read.scorer.score(clips) == pytest.approx(expected, abs=1e-6)


def test_what_a_network_was_made_with_is_told_if_it_is_plain() -> None:
    path = "deepfake.models.mesonet.Meso4"
    assert spec_of(Meso4(image_size=64)) == {"class_path": path, "init_args": {"image_size": 64}}
    assert copy.deepcopy(Meso4(64)).built_with == {"image_size": 64}
    assert spec_of(nn.Linear(2, 1)) is None
