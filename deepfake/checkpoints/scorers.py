"""What computes scores from faces: torch, or a graph without importing torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from deepfake.aggregation import sigmoid
from deepfake.checkpoints.allocator import keep_freed_memory
from deepfake.errors import CheckpointError, require

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from openvino import CompiledModel, Model
    from torch import Tensor, nn

Faces = NDArray[np.float32]  # (B, 3, S, S), or (B, T, 3, S, S) for temporal networks
Scores = NDArray[np.float64]  # (B,), P(fake) in [0, 1]
Features = NDArray[np.float32]  # (B, D), what the network's last layer judges


class Scorer(Protocol):
    """Scores faces."""

    def score(self, faces: Faces) -> Scores:
        """Return P(fake) of each normalised face, before calibration. NaN where it is undefined."""
        ...

    def warm_up(self) -> None:
        """Load what the first call would load."""
        ...


@runtime_checkable
class Looking(Scorer, Protocol):
    """Scores faces, and can say by what."""

    def look(self, faces: Faces) -> tuple[Scores, Features | None]:
        """Return the scores, and the features that they were made of where they can be had."""
        ...


class TorchScorer:
    """Scores with a torch network, in float32 on the CPU unless told otherwise.

    On the CPU, memory that the process frees stays with it: see `keep_freed_memory`.

    Args:
        network: Put into eval mode.
        device: Such as "cpu" or "cuda".
    """

    def __init__(self, network: "nn.Module", device: str = "cpu") -> None:
        import torch

        if device == "cpu":
            keep_freed_memory()
        self.network = network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.device = device
        # On a GPU the many small kernels of a few faces cost more to launch than to run.
        quick = device != "cpu"
        self._run = torch.compile(network, mode="reduce-overhead") if quick else network

    def warm_up(self) -> None:
        """Do nothing: the network is loaded."""

    def score(self, faces: Faces) -> Scores:
        """Return P(fake) (B,)."""
        return sigmoid(self.logits(faces))

    def logits(self, faces: Faces) -> NDArray[np.float32]:
        """Return the logits of fake (B,)."""
        import torch

        with torch.inference_mode():
            return np.asarray(self._run(self._batch(faces)).float().cpu().numpy())

    def _batch(self, faces: Faces) -> "Tensor":
        import torch

        batch = torch.from_numpy(faces).to(self.device)
        return batch if batch.ndim > 4 else batch.contiguous(memory_format=torch.channels_last)

    def look(self, faces: Faces) -> tuple[Scores, Features | None]:
        """Return P(fake) (B,), and the features of networks that are ours."""
        import torch

        from deepfake.models.network import Network

        if not isinstance(self.network, Network):
            return self.score(faces), None
        with torch.inference_mode():
            features = self.network.forward_features(self._batch(faces))
            logits = self.network.forward_head(features)
            return sigmoid(logits.float().cpu().numpy()), features.float().cpu().numpy()


@dataclass(eq=False)
class GraphScorer:
    """Scores with a graph, which is loaded when it is first needed.

    Args:
        graph: A file, as a child takes it; input faces, output logits (B,), and features (B, D)
            where the checkpoint has a gauge.
        threads: Of one call; None leaves it to what runs the graph.
    """

    graph: Path
    threads: int | None = None

    def score(self, faces: Faces) -> Scores:
        """Return P(fake) (B,)."""
        return self.look(faces)[0]

    def look(self, faces: Faces) -> tuple[Scores, Features | None]:
        """Return P(fake) (B,), and the features where the graph gives them."""
        logits, *features = self.outputs(faces)
        return sigmoid(logits), features[0] if features else None

    def outputs(self, faces: Faces) -> Sequence[NDArray[np.float32]]:
        """Return what the graph gives for faces."""
        raise NotImplementedError


class OnnxScorer(GraphScorer):
    """Scores with ONNX Runtime."""

    @cached_property
    def session(self) -> "InferenceSession":
        """The loaded graph.

        Raises:
            CheckpointError: The file is no graph that can be run.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.enable_mem_pattern = False  # a plan of all feature maps side by side takes twice
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.intra_op_num_threads = self.threads or 0
        try:
            return onnxruntime.InferenceSession(
                str(self.graph), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its errors have no other base
            reason = str(error).splitlines()[0]
            raise CheckpointError(
                f"{self.graph} is not an ONNX file that can be run: {reason}"
            ) from error

    def warm_up(self) -> None:
        """Load the graph."""
        assert self.session is not None

    def metadata(self, key: str) -> str | None:
        """Return an entry of the graph's metadata."""
        entry: str | None = self.session.get_modelmeta().custom_metadata_map.get(key)
        return entry

    def outputs(self, faces: Faces) -> Sequence[NDArray[np.float32]]:
        """Return what the graph gives for faces."""
        found: Sequence[NDArray[np.float32]] = self.session.run(
            None, {self.session.get_inputs()[0].name: faces}
        )
        return found


class OpenVinoScorer(GraphScorer):
    """Scores with OpenVINO in float32; the graph is the .xml file, its .bin beside it."""

    @cached_property
    def model(self) -> "Model":
        """The graph as stored.

        Raises:
            CheckpointError: The file is no graph that can be run, or OpenVINO is not installed.
        """
        require("openvino", "export", str(self.graph), CheckpointError)
        from openvino import Core

        try:
            return Core().read_model(self.graph)
        except RuntimeError as error:
            raise CheckpointError(
                f"{self.graph} is not an OpenVINO file that can be run. "
                "Its .bin must lie beside it."
            ) from error

    @cached_property
    def compiled(self) -> "CompiledModel":
        """The graph compiled for this CPU."""
        from openvino import Core

        # bfloat16, the hint's choice where the CPU has it, changes scores by more than 1e-3
        config: dict[str, object] = {"INFERENCE_PRECISION_HINT": "f32"}
        if self.threads is not None:
            config["INFERENCE_NUM_THREADS"] = self.threads
        return Core().compile_model(self.model, "CPU", config)

    def warm_up(self) -> None:
        """Compile the graph."""
        assert self.compiled is not None

    def metadata(self, key: str) -> str | None:
        """Return an entry of the graph's metadata."""
        return str(self.model.get_rt_info(key).value) if self.model.has_rt_info(key) else None

    def outputs(self, faces: Faces) -> Sequence[NDArray[np.float32]]:
        """Return what the graph gives for faces."""
        found = self.compiled([faces])
        return [found[number] for number in range(len(self.compiled.outputs))]
