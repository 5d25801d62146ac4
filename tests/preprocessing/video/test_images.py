import io

import numpy as np
import pytest
from PIL import Image as Pillow

from preprocessing.errors import VideoError
from preprocessing.video.images import decode_image, encode_image


@pytest.mark.parametrize("shape", [(1, 1, 3), (7, 5, 3), (60, 400, 3)])
def test_png_keeps_every_pixel(shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    data = encode_image(image, "png")
    np.testing.assert_array_equal(decode_image(data), image)
    with Pillow.open(io.BytesIO(data)) as picture:
        np.testing.assert_array_equal(np.asarray(picture), image)


def test_plain_images_become_small() -> None:
    stripes = np.zeros((200, 200, 3), np.uint8) + np.arange(200, dtype=np.uint8)[:, None]
    assert len(encode_image(stripes, "png")) < stripes.nbytes / 50


def test_what_is_no_image_is_refused() -> None:
    for data in (b"", b"no image"):
        with pytest.raises(VideoError, match="no image"):
            decode_image(data)
