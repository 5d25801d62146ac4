"""Build the ONNX files of MTCNN's three networks from the weights in facenet-pytorch's wheel.

    python -m recipes.mtcnn_graphs

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

from preprocessing.faces.mtcnn_networks import WEIGHTS

SHA256 = {
    "pnet": "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
    "rnet": "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
    "onet": "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
}
Array = NDArray[np.float32]
Pool = tuple[int, int]  # side of the window, stride

BLOCK = 16  # channels are padded to what ONNX Runtime's blocked convolutions work on


class Graph:
    """A graph under construction, from RGB images (B, H, W, 3) in [0, 255].

    PReLU is written as a x + (1 - a) relu(x), of convolutions and ReLU only: ONNX Runtime keeps
    these in its blocked layout, but leaves it for its own PReLU, which then takes more than half
    of the time.

    Args:
        state: Weights of one of facenet-pytorch's networks.
    """

    def __init__(self, state: dict[str, Array]) -> None:
        self.state = state
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.value = self.node("Transpose", "images", perm=[0, 3, 1, 2])

    def node(
        self, op: str, *inputs: str | Array, name: str | None = None, **options: int | list[int]
    ) -> str:
        """Append an operation on values and constants; return the name of its output."""
        output = name or f"v{len(self.nodes)}"
        names = []
        for i, value in enumerate(inputs):
            if isinstance(value, str):
                names.append(value)
            else:
                names.append(f"{output}.{i}")
                self.constants.append(numpy_helper.from_array(value, names[-1]))
        node = helper.make_node(op, names, [output])
        node.attribute.extend(helper.make_attribute(*option) for option in sorted(options.items()))
        self.nodes.append(node)
        return output

    def scale(self, value: str, factors: Array) -> str:
        """Append a product of each channel with its factor, as a depthwise convolution."""
        weight = factors.reshape(-1, 1, 1, 1)
        return self.node("Conv", value, weight, group=len(factors), kernel_shape=[1, 1])

    def mix(self, value: str, weight: Array) -> str:
        """Append a convolution of one pixel without bias, of weight (outputs, inputs)."""
        return self.node("Conv", value, weight[..., None, None], kernel_shape=[1, 1])

    def first(self, pool: Pool) -> None:
        """Append normalisation, convolution, PReLU and max pooling.

        Pooling comes first, on a quarter of the pixels. For slopes a >= 0 PReLU may simply follow
        it. For a < 0 PReLU is max(x, a x), and so a x is pooled beside x.
        """
        slope = self.state["prelu1.weight"]
        weight, bias = self.state["conv1.weight"], self.state["conv1.bias"]
        bias = bias - weight.sum((1, 2, 3)) * np.float32(127.5 / 128)
        weight = weight / np.float32(128)
        falling = np.flatnonzero(slope < 0)
        weight = padded(
            np.concatenate([weight, weight[falling] * slope[falling, None, None, None]])
        )
        bias = padded(np.concatenate([bias, bias[falling] * slope[falling]]))
        pooled = self.pool(
            self.node("Conv", "v0", weight, bias, kernel_shape=list(weight.shape[2:])), pool
        )

        channels = len(slope)
        twins = channels + np.arange(len(falling))
        before = np.zeros((len(padded(slope)), len(weight)), np.float32)  # what ReLU is applied to
        before[np.arange(channels), np.arange(channels)] = 1
        before[falling, falling] = -1
        before[falling, twins] = 1
        straight = np.zeros_like(before)  # max(x, ax) = x + relu(ax - x)
        straight[np.arange(channels), np.arange(channels)] = np.where(slope < 0, 1, slope)
        after = np.diag(padded(np.where(slope < 0, 1, 1 - slope).astype(np.float32)))
        bent = self.mix(self.node("Relu", self.mix(pooled, before)), after)
        self.value = self.node("Add", self.mix(pooled, straight), bent)

    def convolve(self, number: int) -> None:
        """Append convolution and PReLU."""
        weight = padded(padded(self.state[f"conv{number}.weight"]), axis=1)
        bias = padded(self.state[f"conv{number}.bias"])
        slope = padded(self.state[f"prelu{number}.weight"])
        x = self.node("Conv", self.value, weight, bias, kernel_shape=list(weight.shape[2:]))
        bent = self.scale(self.node("Relu", x), 1 - slope)
        self.value = self.node("Add", self.scale(x, slope), bent)

    def pool(self, value: str, pool: Pool) -> str:
        """Append max pooling that rounds sizes up."""
        side, stride = pool
        return self.node(
            "MaxPool", value, kernel_shape=[side] * 2, strides=[stride] * 2, ceil_mode=1
        )

    def flatten(self, number: int, side: int) -> None:
        """Append the first dense layer, on features (B, C, side, side), and PReLU."""
        weight = self.state[f"dense{number}.weight"]
        outputs = len(weight)
        # facenet-pytorch flattens (width, height, channel), after Caffe's and MATLAB's order
        weight = weight.reshape(outputs, side, side, -1).transpose(0, 3, 2, 1).reshape(outputs, -1)
        x = self.node("Flatten", self.value, axis=1)
        bias = self.state[f"dense{number}.bias"]
        x = self.node("Gemm", x, np.ascontiguousarray(weight), bias, transB=1)
        self.value = self.node("PRelu", x, self.state[f"prelu{number}.weight"])

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


def padded(array: Array, axis: int = 0) -> Array:
    """Return the array with zeros after it, up to a multiple of BLOCK along one axis."""
    widths = [(0, 0)] * array.ndim
    widths[axis] = (0, -array.shape[axis] % BLOCK)
    return np.pad(array, widths)


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
    """Write pnet.onnx, rnet.onnx and onet.onnx where the package reads them."""
    pnet = Graph(load("pnet"))
    pnet.first(pool=(2, 2))
    pnet.convolve(2)
    pnet.convolve(3)
    pnet.value = pnet.node(
        "Conv", pnet.value, *pnet.heads("conv4"), name="outputs", kernel_shape=[1, 1]
    )
    pnet.save(WEIGHTS / "pnet.onnx", ["batch", 5, "rows", "columns"], ("height", "width"))

    rnet = Graph(load("rnet"))
    rnet.first(pool=(3, 2))
    rnet.convolve(2)
    rnet.value = rnet.pool(rnet.value, (3, 2))
    rnet.convolve(3)
    rnet.flatten(4, side=3)
    rnet.value = rnet.node("Gemm", rnet.value, *rnet.heads("dense5"), name="outputs", transB=1)
    rnet.save(WEIGHTS / "rnet.onnx", ["batch", 5], (24, 24))

    onet = Graph(load("onet"))
    onet.first(pool=(3, 2))
    onet.convolve(2)
    onet.value = onet.pool(onet.value, (3, 2))
    onet.convolve(3)
    onet.value = onet.pool(onet.value, (2, 2))
    onet.convolve(4)
    onet.flatten(5, side=3)
    onet.value = onet.node("Gemm", onet.value, *onet.heads("dense6"), name="outputs", transB=1)
    onet.save(WEIGHTS / "onet.onnx", ["batch", 15], (48, 48))


if __name__ == "__main__":
    main()
