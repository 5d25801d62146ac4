"""FTCN and AltFreezing: 32 frames of an aligned face, seen by a ResNet-50 over space and time.

Weights of either load with `ftcn.yaml` of this folder laid beside them, under their name, and
`--import recipes.research.ftcn`. They want faces aligned by 68 points over a clip, which preprocess
does not do: of other crops the scores mean little.
"""

import torch
from torch import Tensor, nn

from deepfake.models.layers import Encoder, with_class_token
from deepfake.models.network import Network

FRAMES = 32
SIZE = 224  # pixels
STAGES = ((64, 256), (128, 512), (256, 1024), (512, 2048))  # width inside and after
TIMES = ((3, 3, 3), (3, 1, 3, 1), (3, 1, 3, 1, 3, 1), (1, 3, 1))  # frames of each block's kernel


class AltFreezing(Network):
    """I3D on ResNet-50: half of the blocks look at three frames, time is halved once.

    Wang et al., CVPR 2023, https://arxiv.org/abs/2307.08317, who train weights of space and of time
    in turns; Carreira and Zisserman, CVPR 2017, https://arxiv.org/abs/1705.07750.
    """

    frames = FRAMES
    num_features = 2048

    def __init__(self) -> None:
        super().__init__()
        self.trunk = trunk(stages=4, flat=False)
        self.head = nn.Linear(self.num_features, 1)

    def forward_features(self, faces: Tensor) -> Tensor:
        """Return features (B, 2048) of clips (B, 32, 3, 224, 224)."""
        maps: Tensor = self.trunk(checked(faces).transpose(1, 2))  # (B, 2048, 16, 7, 7)
        return maps.mean(dim=(2, 3, 4))


class FTCN(Network):
    """The same without the last stage, blind to neighbours in space, and a transformer over time.

    Zheng et al., ICCV 2021, https://arxiv.org/abs/2108.06693: kernels span time alone, so that
    only what changes over time can tell a fake; steps are maxima over 2 x 2 places.
    """

    frames = FRAMES
    num_features = 1024

    def __init__(self) -> None:
        super().__init__()
        width = self.num_features
        self.trunk = trunk(stages=3, flat=True)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.zeros(1, FRAMES // 2 + 1, width))
        self.encoder = Encoder(width, 1, 16, 2048, head_dim=64)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1))

    def forward_features(self, faces: Tensor) -> Tensor:
        """Return features (B, 1024) of clips (B, 32, 3, 224, 224)."""
        maps: Tensor = self.trunk(checked(faces).transpose(1, 2))  # (B, 1024, 16, 14, 14)
        tokens = with_class_token(self.token, maps.mean(dim=(3, 4)).mT) + self.position
        features: Tensor = self.encoder(tokens)[:, 0]
        return features


def checked(faces: Tensor) -> Tensor:
    """Return the clips; raise ValueError where they are of another shape."""
    if tuple(faces.shape[1:]) != (FRAMES, 3, SIZE, SIZE):
        raise ValueError(f"expected clips (B, 32, 3, 224, 224), got {tuple(faces.shape)}")
    return faces


def trunk(*, stages: int, flat: bool) -> nn.Sequential:
    """Return what makes maps (B, C, T / 2, H / s, W / s) of clips (B, 3, T, H, W).

    Args:
        stages: Of ResNet-50, 1 to 4; s is 4 for the first and doubles with each.
        flat: Let kernels span time alone.
    """
    space, step = (1, 1) if flat else (7, 2)
    stem = [
        nn.Conv3d(3, 64, (5, space, space), (1, step, step), (2, space // 2, space // 2),
                  bias=False),
        nn.BatchNorm3d(64), nn.MaxPool3d((1, 2, 2)) if flat else nn.Identity(), nn.ReLU(),
        nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
    ]  # fmt: skip
    layers: list[nn.Module] = [nn.Sequential(*stem)]
    before = 64
    for number, (inner, width) in enumerate(STAGES[:stages]):
        blocks = []
        for k, time in enumerate(TIMES[number]):
            halves = number > 0 and k == 0
            blocks.append(_Block(before, inner, width, time, halves=halves, flat=flat))
            before = width
        layers.append(nn.Sequential(*blocks))
        if number == 0:
            layers.append(nn.MaxPool3d((2, 1, 1)))
    return nn.Sequential(*layers)


class _Block(nn.Module):
    def __init__(
        self, before: int, inner: int, width: int, time: int, *, halves: bool, flat: bool
    ) -> None:
        super().__init__()
        space, step = 1 if flat else 3, 2 if halves and not flat else 1
        smaller = nn.MaxPool3d((1, 2, 2)) if halves and flat else nn.Identity()
        self.layers = nn.Sequential(
            nn.Conv3d(before, inner, (time, 1, 1), 1, (time // 2, 0, 0), bias=False),
            nn.BatchNorm3d(inner), nn.ReLU(),
            nn.Conv3d(inner, inner, (1, space, space), (1, step, step),
                      (0, space // 2, space // 2), bias=False),
            nn.BatchNorm3d(inner), smaller, nn.ReLU(),
            nn.Conv3d(inner, width, 1, bias=False), nn.BatchNorm3d(width),
        )  # fmt: skip
        self.skip: nn.Module = nn.Identity()
        if before != width:
            skip = nn.Conv3d(before, width, 1, (1, step, step), bias=False)
            self.skip = nn.Sequential(skip, nn.BatchNorm3d(width), smaller)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.layers(x) + self.skip(x))
