"""The autoencoder takes the published weights, and what it draws becomes fakes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from recipes.default_model.decoded import decoder, drawn_again, encoder, load

PUBLISHED = {  # of taef2_encoder.pth and taef2_decoder.pth: tensors, numbers, one name and shape
    "encoder": (79, 1_338_528, "12.pool.0.weight", (256, 64, 1, 1)),
    "decoder": (79, 1_338_499, "7.weight", (64, 64, 3, 3)),
}


@pytest.mark.parametrize("part", PUBLISHED)
def test_layers_are_those_of_the_published_files(part: str) -> None:
    network = encoder() if part == "encoder" else decoder()
    state = network.state_dict()
    count, numbers, name, shape = PUBLISHED[part]
    assert len(state) == count
    assert sum(tensor.numel() for tensor in state.values()) == numbers
    assert tuple(state[name].shape) == shape


def test_a_picture_comes_back_in_its_shape_and_noise_changes_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    for name, part in (("encoder", encoder()), ("decoder", decoder())):
        torch.save(part.state_dict(), tmp_path / f"taef2_{name}.pth")
    networks = load(tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    plain, again, noisy = (drawn_again(networks, image, noise) for noise in (0.0, 0.0, 0.5))
    assert plain.shape == image.shape
    assert plain.dtype == np.uint8
    np.testing.assert_array_equal(plain, again)
    assert (plain != noisy).any()
