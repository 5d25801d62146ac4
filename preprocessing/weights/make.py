"""Build the ONNX files of MTCNN's three networks from the weights in facenet-pytorch's wheel.

    python preprocessing/weights/make.py

The graphs compute what facenet-pytorch's modules compute, to rounding, with what can be folded
folded in: the normalisation (x - 127.5) / 128 into the first convolution, the order in which the
features are flattened into the first dense layer, and the softmax over {no face, face} into one
logit, the difference of the two.
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SHA256 = {
    "pnet": "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
    "rnet": "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
    "onet": "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
}
Array = NDArray[np.float32]
Pool = tuple[int, int]  # side of the window, stride


class Graph:
    """A chain of nodes under construction, from RGB images (B, H, W, 3) in [0, 255].

    Args:
        state: Weights of one of facenet-pytorch's networks.
    """

    def __init__(self, state: dict[str, Array]) -> None:
        self.state = state
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.value = "images"
        self.node("Transpose", perm=[0, 3, 1, 2])

    def node(
        self, op: str, *constants: Array, name: str | None = None, **attributes: object
    ) -> None:
        """Append an operation on the last value."""
        output = name or f"v{len(self.nodes)}"
        inputs = [self.value]
        for i, constant in enumerate(constants):
            inputs.append(f"{output}.{i}")
            self.constants.append(numpy_helper.from_array(constant, inputs[-1]))
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        self.value = output

    def convolve(self, number: int, pool: Pool | None = None) -> None:
        """Append convolution, PReLU and, where given, max pooling that rounds sizes up."""
        weight, bias = self.state[f"conv{number}.weight"], self.state[f"conv{number}.bias"]
        if number == 1:
            bias = bias - weight.sum((1, 2, 3)) * np.float32(127.5 / 128)
            weight = weight / np.float32(128)
        self.node("Conv", weight, bias, kernel_shape=weight.shape[2:])
        self.node("PRelu", self.state[f"prelu{number}.weight"].reshape(-1, 1, 1))
        if pool is not None:
            side, stride = pool
            self.node("MaxPool", kernel_shape=[side] * 2, strides=[stride] * 2, ceil_mode=1)

    def flatten(self, number: int, side: int) -> None:
        """Append the first dense layer, on features (B, C, side, side), and PReLU."""
        weight = self.state[f"dense{number}.weight"]
        outputs = len(weight)
        # facenet-pytorch flattens (width, height, channel), after Caffe's and MATLAB's order
        weight = weight.reshape(outputs, side, side, -1).transpose(0, 3, 2, 1).reshape(outputs, -1)
        self.node("Flatten", axis=1)
        self.node("Gemm", np.ascontiguousarray(weight), self.state[f"dense{number}.bias"], transB=1)
        self.node("PRelu", self.state[f"prelu{number}.weight"])

    def heads(self, prefix: str) -> tuple[Array, Array]:
        """Return weight and bias that give logit, box offsets and landmarks at once."""
        weights, biases = [], []
        for name in (f"{prefix}_{i}" for i in (1, 2, 3) if f"{prefix}_{i}.weight" in self.state):
            weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
            if name.endswith("_1"):
                weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
            weights.append(weight)
            biases.append(bias)
        return np.concatenate(weights), np.concatenate(biases)

    def save(self, path: Path, output: list[int | str], sides: tuple[int | str, int | str]) -> None:
        """Check the graph and write it."""
        shape = ["batch", *sides, 3]
        graph = helper.make_graph(
            self.nodes,
            path.stem,
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(self.value, TensorProto.FLOAT, output)],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        path.write_bytes(model.SerializeToString(deterministic=True))


def load(name: str) -> dict[str, Array]:
    """Return the weights of one network after checking that they are the known ones."""
    package = find_spec("facenet_pytorch")  # found, not imported
    if package is None or package.origin is None:
        raise FileNotFoundError(
            "facenet-pytorch is not installed: pip install facenet-pytorch==2.5.3"
        )
    path = Path(package.origin).parent / "data" / f"{name}.pt"
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SHA256[name]:
        raise ValueError(f"{path} has SHA-256 {found}, expected {SHA256[name]} (version 2.5.3).")
    state = torch.load(path, weights_only=True)
    return {key: value.numpy() for key, value in state.items()}


def main() -> None:
    """Write pnet.onnx, rnet.onnx and onet.onnx beside this file."""
    here = Path(__file__).parent

    pnet = Graph(load("pnet"))
    pnet.convolve(1, pool=(2, 2))
    pnet.convolve(2)
    pnet.convolve(3)
    weight, bias = pnet.heads("conv4")
    pnet.node("Conv", weight, bias, name="outputs", kernel_shape=[1, 1])
    pnet.save(here / "pnet.onnx", ["batch", 5, "rows", "columns"], ("height", "width"))

    rnet = Graph(load("rnet"))
    rnet.convolve(1, pool=(3, 2))
    rnet.convolve(2, pool=(3, 2))
    rnet.convolve(3)
    rnet.flatten(4, side=3)
    rnet.node("Gemm", *rnet.heads("dense5"), name="outputs", transB=1)
    rnet.save(here / "rnet.onnx", ["batch", 5], (24, 24))

    onet = Graph(load("onet"))
    onet.convolve(1, pool=(3, 2))
    onet.convolve(2, pool=(3, 2))
    onet.convolve(3, pool=(2, 2))
    onet.convolve(4)
    onet.flatten(5, side=3)
    onet.node("Gemm", *onet.heads("dense6"), name="outputs", transB=1)
    onet.save(here / "onet.onnx", ["batch", 15], (48, 48))


if __name__ == "__main__":
    main()
