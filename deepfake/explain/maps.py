"""One heat map for any network: where it sees signs of a fake."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deepfake.checkpoints.loading import Checkpoint
from deepfake.checkpoints.scorers import Faces, Scores, TorchScorer
from deepfake.explain.occlusion import Maps, occlusion_map
from preprocessing.types import Image

if TYPE_CHECKING:
    from torch import Tensor, nn


def rollout_of(network: "nn.Module", faces: "Tensor") -> "Tensor | None":
    """Return attention rollout (B, S, S), or None where the network has no such attention."""
    import torch

    from deepfake.explain.rollout import has_grid, rollout_map

    attention_maps = getattr(network, "attention_maps", None)
    if attention_maps is None:
        return None
    with torch.no_grad():
        attentions = attention_maps(faces)
    return rollout_map(attentions, faces.shape[-1]) if has_grid(attentions) else None


def explain_crops(checkpoint: Checkpoint, crops: Sequence[Image]) -> tuple[Maps, str]:
    """Return heat maps (B, S, S) of crops as a checkpoint sees them, and the method's name.

    A torch network of single faces is looked into; an exported graph, and a network of several
    frames, is explained by occlusion, the latter on clips that show one face all the time.

    Args:
        checkpoint: What judged the crops.
        crops: RGB crops of any size.

    Returns:
        The maps, and "rollout", "gradients", "occlusion", or "none" without crops.
    """
    size = checkpoint.recipe.image_size
    if not crops:
        return np.zeros((0, size, size), np.float32), "none"
    faces = np.stack([checkpoint.recipe.prepare(crop) for crop in crops])
    scorer = checkpoint.scorer
    if isinstance(scorer, TorchScorer) and checkpoint.frames == 1:
        import torch

        from deepfake.explain.grad_cam import ExplainError, grad_cam

        tensor = torch.from_numpy(faces).to(scorer.device)
        try:
            maps = rollout_of(scorer.network, tensor)
            if maps is not None:
                return maps.cpu().numpy(), "rollout"
            return grad_cam(scorer.network, tensor).cpu().numpy(), "gradients"
        except ExplainError:
            pass  # occlusion needs neither a library nor a map

    def score(batch: Faces) -> Scores:
        if checkpoint.frames == 1:
            return scorer.score(batch)
        return scorer.score(np.repeat(batch[:, None], checkpoint.frames, axis=1))

    return occlusion_map(score, faces), "occlusion"
