import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from deepfake.errors import DeepfakeError
from deepfake.feature_losses import AlignmentUniformity, AMSoftmax, SupervisedContrastive
from deepfake.losses import BinaryCrossEntropy, FocalLoss

LOGITS = torch.tensor([2.0, -1.0, 0.5, -3.0])
LABELS = torch.tensor([1.0, 0.0, 0.0, 1.0])
FEATURES = torch.tensor([[3.0, 0.0], [0.0, 1.0], [0.0, 2.0], [0.5, 0.0]])
ENTROPY = F.binary_cross_entropy_with_logits(LOGITS, LABELS)


def test_cross_entropy_smooths_and_weighs() -> None:
    loss = BinaryCrossEntropy(label_smoothing=0.2, pos_weight="balanced")
    loss.prepare(real=30, fake=10)
    p = LOGITS.sigmoid()
    targets = torch.tensor([0.9, 0.1, 0.1, 0.9])
    expected = -(3 * targets * p.log() + (1 - targets) * (1 - p).log()).mean()
    torch.testing.assert_close(loss(LOGITS, LABELS), expected)
    torch.testing.assert_close(BinaryCrossEntropy()(LOGITS, LABELS), ENTROPY)


def test_focal_loss_without_focus_is_cross_entropy() -> None:
    torch.testing.assert_close(FocalLoss(gamma=0.0)(LOGITS, LABELS), ENTROPY)


def test_focal_loss_by_hand() -> None:
    logit = math.log(0.9 / 0.1)  # p = 0.9
    loss = FocalLoss(gamma=2.0, alpha=0.25)
    fake = loss(torch.tensor([logit]), torch.tensor([1.0]))
    assert float(fake) == pytest.approx(0.25 * 0.1**2 * -math.log(0.9), rel=1e-4)
    real = loss(torch.tensor([logit]), torch.tensor([0.0]))
    assert float(real) == pytest.approx(0.75 * 0.9**2 * -math.log(0.1), rel=1e-4)


def test_supervised_contrastive_by_hand() -> None:
    # Fakes are 0 and 3 on one axis, reals 1 and 2 on the other: cosine 1 inside, 0 across.
    term = SupervisedContrastive(temperature=0.5).term(FEATURES, LABELS)
    expected = -math.log(math.exp(2) / (math.exp(2) + 2 * math.exp(0)))
    assert float(term) == pytest.approx(expected, rel=1e-5)


def test_a_face_alone_in_its_class_adds_nothing() -> None:
    pair = SupervisedContrastive().term(FEATURES[:2], torch.tensor([1.0, 0.0]))
    assert float(pair) == 0.0


def test_am_softmax_by_hand() -> None:
    loss = AMSoftmax(num_features=2, scale=10.0, margin=0.2)
    with torch.no_grad():
        loss.prototypes.copy_(torch.tensor([[0.0, 5.0], [1.0, 0.0]]))  # real, fake
    term = loss.term(FEATURES, LABELS).detach()
    assert float(term) == pytest.approx(math.log1p(math.exp(-10 * (1 - 0.2))), rel=1e-4)
    no_margin = AMSoftmax(num_features=2, scale=10.0, margin=0.0)
    no_margin.load_state_dict(loss.state_dict())
    unit = F.normalize(FEATURES, dim=1)
    cosines = torch.stack([unit[:, 1], unit[:, 0]], dim=1)
    expected = F.cross_entropy(10 * cosines, LABELS.long())
    torch.testing.assert_close(no_margin.term(FEATURES, LABELS), expected)


def test_am_softmax_says_which_width_it_needs() -> None:
    with pytest.raises(DeepfakeError, match="features are 2 wide; set num_features"):
        AMSoftmax(num_features=3).term(FEATURES, LABELS)


def test_alignment_and_uniformity_by_hand() -> None:
    # Squared distances: 0 inside the classes (2 pairs), 2 across (4 pairs).
    near = AlignmentUniformity(alignment=1.0, uniformity=0.0).term(FEATURES, LABELS)
    assert float(near) == pytest.approx(0.0, abs=1e-6)
    spread = AlignmentUniformity(alignment=0.0, uniformity=1.0).term(FEATURES, LABELS)
    assert float(spread) == pytest.approx(math.log((2 + 4 * math.exp(-4)) / 6), rel=1e-5)
    crossed = torch.tensor([1.0, 1.0, 0.0, 0.0])  # each class now has faces at distance 2
    far = AlignmentUniformity(alignment=1.0, uniformity=0.0).term(FEATURES, crossed)
    assert float(far) == pytest.approx(2.0)


@pytest.mark.parametrize(
    "loss",
    [SupervisedContrastive(), AMSoftmax(num_features=2), AlignmentUniformity()],
    ids=lambda loss: type(loss).__name__,
)
@pytest.mark.parametrize("rows", [1, 2, 4])
def test_feature_losses_add_to_cross_entropy(
    loss: SupervisedContrastive | AMSoftmax | AlignmentUniformity, rows: int
) -> None:
    features = FEATURES[:rows].clone().requires_grad_()
    logits, labels = LOGITS[:rows], LABELS[:rows]
    value: Tensor = loss(logits, labels, features)
    entropy = F.binary_cross_entropy_with_logits(logits, labels)
    torch.testing.assert_close(value, entropy + loss.term(features, labels))
    value.backward()  # type: ignore[no-untyped-call]
    assert features.grad is not None
    assert features.grad.isfinite().all()


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: BinaryCrossEntropy(label_smoothing=1.0), "label_smoothing"),
        (lambda: FocalLoss(gamma=-1), "gamma"),
        (lambda: FocalLoss(alpha=2), "alpha"),
        (lambda: SupervisedContrastive(temperature=0), "temperature"),
    ],
)
def test_bad_arguments_are_named(make: object, word: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=word):
        make()
