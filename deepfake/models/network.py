"""What every network here is: features of faces, and a head that judges them."""

import inspect
from typing import Any, Self

from torch import Tensor, nn


class Network(nn.Module):
    """A network of faces, whose children give `num_features`, `head` and `forward_features`."""

    num_features: int
    head: nn.Module
    built_with: dict[str, Any]  # the constructor's arguments

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: ANN401
        """Keep the arguments, so that a checkpoint can say how to build the network again."""
        made = super().__new__(cls)
        bound = inspect.signature(cls.__init__).bind_partial(made, *args, **kwargs)
        values = list(bound.arguments.items())[1:]  # without self
        made.__dict__["built_with"] = dict(values)
        return made

    def forward_features(self, faces: Tensor) -> Tensor:
        """Return features (B, D) of normalised faces (B, 3, H, W)."""
        raise NotImplementedError

    def forward_head(self, features: Tensor) -> Tensor:
        """Return logits (B,) of features (B, D)."""
        logits: Tensor = self.head(features)  # (B, 1)
        return logits.squeeze(1)

    def forward(self, faces: Tensor) -> Tensor:
        """Return logits (B,) of normalised faces (B, 3, H, W)."""
        return self.forward_head(self.forward_features(faces))


def spec_of(network: nn.Module) -> dict[str, Any] | None:
    """Return class path and arguments of a network, None where they are not known or not plain."""
    if not isinstance(network, Network):
        return None
    arguments = dict(network.built_with)
    for name, value in arguments.items():
        if isinstance(value, nn.Module):
            arguments[name] = value = spec_of(value)
            if value is None:
                return None
        elif not isinstance(value, bool | int | float | str | list | tuple | dict | None):
            return None
    return {
        "class_path": f"{type(network).__module__}.{type(network).__qualname__}",
        "init_args": arguments,
    }


class ClipNetwork(Network):
    """A network of clips that sees them through one of single faces, whose head does not learn."""

    frames: int | None = None  # the most of a clip

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder: Any = encoder
        for name, child in encoder.named_children():
            if name.startswith("head"):
                child.requires_grad_(requires_grad=False)

    def encoded(self, faces: Tensor) -> Tensor:
        """Return the features (B, T, D) of each face of clips (B, T, 3, H, W)."""
        if faces.ndim != 5 or (self.frames is not None and faces.shape[1] > self.frames):
            most = "" if self.frames is None else f" of at most {self.frames} frames"
            raise ValueError(
                f"expected clips (B, T, 3, H, W){most}, got {tuple(faces.shape)}; set data.frames "
                f"to the number of faces a clip{', or the frames of the network' if most else ''}"
            )
        features: Tensor = self.encoder.forward_features(faces.flatten(0, 1))
        return features.reshape(faces.shape[0], faces.shape[1], -1)

    def forward_features(self, faces: Tensor, padding: Tensor | None = None) -> Tensor:
        """Return features (B, D) of clips; arguments as of `forward`."""
        raise NotImplementedError

    def forward(self, faces: Tensor, padding: Tensor | None = None) -> Tensor:
        """Return one logit per clip (B,).

        Args:
            faces: Crops of one track in order of time (B, T, 3, H, W).
            padding: True (B, T) for faces that only fill the clip and must not count.
        """
        return self.forward_head(self.forward_features(faces, padding))
