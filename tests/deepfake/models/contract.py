"""What every network must do. Reached through the `contract` fixture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def random_faces(image_size: int, *, batch: int = 3, frames: int | None = None) -> Tensor:
    """Return normalised faces (B, 3, S, S), or clips (B, T, 3, S, S) where `frames` is given."""
    count = batch if frames is None else batch * frames
    generator = torch.Generator().manual_seed(image_size)
    coarse = torch.randn(count, 3, 5, 5, generator=generator)  # large shapes, as a face has
    faces = F.interpolate(coarse, size=(image_size, image_size), mode="bilinear")
    faces = faces + 0.1 * torch.randn(faces.shape, generator=generator)
    return faces if frames is None else faces.reshape(batch, frames, *faces.shape[1:])


def settle(network: nn.Module, faces: Tensor) -> None:
    """Give batch norms the statistics of these faces; fresh ones let the signal die out."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(faces)
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum


def _features_and_logits(network: nn.Module, faces: Tensor) -> tuple[Tensor, Tensor]:
    network.eval()
    with torch.no_grad():
        features: Tensor = network.forward_features(faces)  # type: ignore[operator]
        logits: Tensor = network(faces)
    return features, logits


def outputs_are_finite(network: nn.Module, faces: Tensor) -> None:
    """Features are (B, num_features), logits are (B,), both finite and not all the same."""
    features, logits = _features_and_logits(network, faces)
    assert features.shape == (len(faces), network.num_features)
    assert logits.shape == (len(faces),)
    assert features.isfinite().all()
    assert logits.isfinite().all()
    assert features.std(dim=0).max() > 0, "the features do not depend on the face"


def gradients_reach_every_trainable_parameter(network: nn.Module, faces: Tensor) -> None:
    network.train()
    network.zero_grad()
    logits: Tensor = network(faces)
    (logits * torch.linspace(-1.0, 2.0, len(faces))).sum().backward()  # type: ignore[no-untyped-call]
    trainable = {n: p for n, p in network.named_parameters() if p.requires_grad}
    assert trainable
    without = [n for n, p in trainable.items() if p.grad is None or not p.grad.isfinite().all()]
    assert not without, f"no finite gradient for {without[:5]}"
    zero = [n for n, p in trainable.items() if p.grad is not None and not p.grad.any()]
    assert not zero, f"gradient is zero everywhere for {zero[:5]}"


def a_face_scores_the_same_alone_and_in_a_batch(network: nn.Module, faces: Tensor) -> None:
    _, together = _features_and_logits(network, faces)
    alone = torch.cat([_features_and_logits(network, face[None])[1] for face in faces])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-4)


def bfloat16_is_close(network: nn.Module, faces: Tensor) -> None:
    """Autocast to bfloat16 (8 bits of mantissa) changes features by a few per cent at most."""
    features, logits = _features_and_logits(network, faces)
    with torch.autocast("cpu", torch.bfloat16):
        half_features, half_logits = _features_and_logits(network, faces)
    likeness = torch.cosine_similarity(features, half_features.float(), dim=1)
    assert likeness.min() > 0.98, f"cosine similarity {likeness.min():.4f}"
    torch.testing.assert_close(half_logits.float(), logits, rtol=0.1, atol=0.1)


def onnx_export_agrees(network: nn.Module, faces: Tensor, file: Path) -> None:
    """The exported graph takes any batch and gives the same logits."""
    import onnxruntime

    settle(network, faces)
    network.eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    torch.onnx.export(
        network,
        (faces,),
        file,
        dynamo=True,
        input_names=["faces"],
        output_names=["logits"],
        dynamic_shapes=({0: batch},),
        verbose=False,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    for batch_faces in (faces, faces[:1], torch.cat([faces, faces])):
        _, expected = _features_and_logits(network, batch_faces)
        (logits,) = session.run(None, {"faces": batch_faces.numpy()})
        np.testing.assert_allclose(np.asarray(logits), expected.numpy(), rtol=1e-3, atol=1e-4)


def holds(network: nn.Module, sizes: Sequence[int], *, frames: int | None = None) -> None:
    """Check everything but the export, at every size in pixels."""
    for size in sizes:
        faces = random_faces(size, frames=frames)
        bfloat16_is_close(network, faces)
        settle(network, faces)
        outputs_are_finite(network, faces)
        a_face_scores_the_same_alone_and_in_a_batch(network, faces)
    gradients_reach_every_trainable_parameter(network, random_faces(sizes[0], frames=frames))
