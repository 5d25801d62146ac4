"""LipForensics: mouths of a clip, seen by a network that learnt to read lips.

Its weights load with `lip_forensics.yaml` of this folder laid beside them, under their name, and
`--import recipes.research.lip_forensics`. They want mouths, which preprocess does not cut out: of
whole faces the scores mean nothing.
"""

import torch
from torch import Tensor, nn

from deepfake.models.network import Network

FRAMES = 25
SIZE = 88  # pixels, of a mouth
KERNELS = (3, 5, 7)  # frames
WIDTH = 256
GREY = (0.299, 0.587, 0.114)  # of red, green and blue


class LipForensics(Network):
    """A convolution over space and time, ResNet-18 on each frame, and four steps of mixing times.

    Haliassos et al., CVPR 2021, https://arxiv.org/abs/2012.07657, on the lip reader of Martinez et
    al., ICASSP 2020, https://arxiv.org/abs/2001.08702.
    """

    frames = FRAMES
    num_features = WIDTH * len(KERNELS)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(1, 64, (5, 7, 7), (1, 2, 2), (2, 3, 3), bias=False), nn.BatchNorm3d(64),
            nn.PReLU(64), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        )  # fmt: skip
        widths = (64, 64, 128, 256, 512)
        self.trunk = nn.Sequential(
            *(
                nn.Sequential(_Block(widths[k], widths[k + 1], 1 + (k > 0)),
                              _Block(widths[k + 1], widths[k + 1], 1))
                for k in range(4)
            )
        )  # fmt: skip
        inputs = (widths[-1], *[self.num_features] * 3)
        self.mixing = nn.Sequential(*(_Mix(width, 2**k) for k, width in enumerate(inputs)))
        self.head = nn.Linear(self.num_features, 1)

    def forward_features(self, faces: Tensor) -> Tensor:
        """Return features (B, 768) for mouths (B, T, 3, 88, 88), red first."""
        if faces.ndim != 5 or faces.shape[-1] != SIZE:
            raise ValueError(f"expected clips (B, T, 3, 88, 88), got {tuple(faces.shape)}")
        grey = torch.einsum("btchw,c->bthw", faces, faces.new_tensor(GREY))
        maps: Tensor = self.stem(grey[:, None])  # (B, 64, T, 22, 22)
        each: Tensor = self.trunk(maps.transpose(1, 2).flatten(0, 1)).mean(dim=(2, 3))
        mixed: Tensor = self.mixing(each.reshape(*faces.shape[:2], -1).mT)  # (B, 768, T)
        return mixed.mean(dim=2)


class _Block(nn.Module):
    def __init__(self, width: int, wider: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, wider, 3, stride, 1, bias=False), nn.BatchNorm2d(wider),
            nn.PReLU(wider), nn.Conv2d(wider, wider, 3, 1, 1, bias=False), nn.BatchNorm2d(wider),
        )  # fmt: skip
        self.skip: nn.Module = nn.Identity()
        if stride > 1:
            skip = nn.Conv2d(width, wider, 1, stride, bias=False)
            self.skip = nn.Sequential(skip, nn.BatchNorm2d(wider))
        self.end = nn.PReLU(wider)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.end(self.layers(x) + self.skip(x))
        return out


class _Mix(nn.Module):
    """Convolutions over time of three lengths side by side, twice."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        whole = WIDTH * len(KERNELS)
        self.rounds = nn.ModuleList(
            nn.ModuleList(_over_time(inputs, kernel, dilation) for kernel in KERNELS)
            for inputs in (width, whole)
        )
        self.skip, self.end = nn.Conv1d(width, whole, 1), nn.PReLU(whole)

    def forward(self, x: Tensor) -> Tensor:
        skip = self.skip(x)
        for branches in self.rounds:
            assert isinstance(branches, nn.ModuleList)
            x = torch.cat([branch(x) for branch in branches], dim=1)
        out: Tensor = self.end(x + skip)
        return out


def _over_time(width: int, kernel: int, dilation: int) -> nn.Sequential:
    beside = (kernel - 1) * dilation // 2
    layer = nn.Conv1d(width, WIDTH, kernel, padding=beside, dilation=dilation)
    return nn.Sequential(layer, nn.BatchNorm1d(WIDTH), nn.PReLU(WIDTH))
