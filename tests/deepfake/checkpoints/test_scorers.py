import copy

import numpy as np
import pytest
import torch

from deepfake.checkpoints.scorers import TorchScorer
from deepfake.models.efficient_vit import EfficientViT
from deepfake.models.mesonet import Meso4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("build", [Meso4, EfficientViT])
def test_scores_on_a_gpu_are_those_of_the_cpu(build: type[torch.nn.Module]) -> None:
    torch.manual_seed(0)
    network = build().eval()
    size = 256 if build is Meso4 else 224
    faces = np.random.default_rng(0).random((8, 3, size, size), dtype=np.float32)
    expected = TorchScorer(copy.deepcopy(network)).score(faces)
    scorer = TorchScorer(network, "cuda")
    for part in (slice(0, 4), slice(4, 8), slice(0, 3), slice(0, 8)):
        np.testing.assert_allclose(scorer.score(faces[part]), expected[part], atol=1e-3)
