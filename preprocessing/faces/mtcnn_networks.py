"""MTCNN's three networks, run by ONNX Runtime: torch is not imported."""

from pathlib import Path
from typing import Any

import numpy as np

from preprocessing.faces.mtcnn_pyramid import Floats

BATCH = 8  # images that a network sees at once; more take memory and no less time
WEIGHTS = Path(__file__).parent / "weights"


class Network:
    """One of pnet, rnet and onet, with facenet-pytorch's weights.

    Args:
        name: Its file in `preprocessing/faces/weights`, without suffix.
        threads: Threads that one call uses; None leaves it to ONNX Runtime.
    """

    def __init__(self, name: str, *, threads: int | None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = 1
        options.intra_op_num_threads = threads or 0
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(
            WEIGHTS / f"{name}.onnx", options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, images: Floats) -> Floats:
        """Return the outputs for RGB images (B, H, W, 3) in [0, 255].

        The second axis is: logit of "face", four box offsets and, from the onet, five x and five y
        of the landmarks. The pnet keeps two more, rows and columns of its grid of windows.
        """
        starts, run = range(0, len(images) or 1, BATCH), self._session.run
        return np.concatenate([run(None, {"images": images[i : i + BATCH]})[0] for i in starts])


def probability(logits: Floats) -> Floats:
    """Return the probabilities of logits."""
    return np.exp(-np.logaddexp(np.float32(0), -logits))
