"""Kinematics: whether a face moves as faces do, from its landmarks through time alone.

After BioLip, https://arxiv.org/abs/2604.16808: no pixels, no sound; displacement, velocity,
acceleration and jerk once the motion of the head is taken away.

Every number that the network sees compares a series with itself in another order: the energy of its
k-th difference over what that would be if the frames came in any order. So the size of a motion,
the shape of a face and its size in the picture say nothing, and shuffled frames give zeros.
"""

from itertools import pairwise
from math import comb

import torch
from torch import Tensor, nn

POINTS = 68  # dlib's, as of iBUG 300-W
RIGID = (*range(27, 36), 36, 39, 42, 45)  # bridge and base of the nose, corners of the eyes
REGIONS = ((0, 17), (17, 27), (27, 36), (36, 48), (48, 68))  # jaw, brows, nose, eyes, mouth
ORDERS = (1, 2, 3)  # velocity, acceleration, jerk
SIGNALS = 13  # see `signals`
# Pairs of signals that a living face moves together, or apart.
PAIRS = ((0, 6), (2, 3), (4, 5), (0, 8), (0, 4), (1, 7), (0, 12))
EPS = 1e-8
LIMIT = 4.0  # spreads; what lies farther out is new, not more of the same


def without_head(points: Tensor) -> tuple[Tensor, Tensor]:
    """Take shift, size and turn in the picture away from landmarks (B, T, 68, 2).

    Returns:
        The points (B, T, 68, 2) in units of the face's size, and what was taken (B, T, 4): shift to
        the right and down in the same units, logarithm of the size, turn as its sine.
    """
    index = torch.tensor(RIGID, device=points.device)
    rigid = points.index_select(2, index)
    centre = rigid.mean(dim=2, keepdim=True)
    spread = (rigid - centre).square().sum(dim=(2, 3), keepdim=True).clamp_min(EPS)
    unit = (rigid - centre) / spread.sqrt()
    reference = unit.mean(dim=1, keepdim=True)
    across, along = _turn(unit, reference)
    reference = _turned(unit, across, along).mean(dim=1, keepdim=True)
    across, along = _turn(unit, reference)
    still = _turned((points - centre) / spread.sqrt(), across, along)
    size = spread.sqrt().mean(dim=1, keepdim=True)
    pose = torch.cat([centre / size, (spread / size.square()).log() / 2, along], dim=-1)
    return still, pose.squeeze(2)


def _turn(points: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Return cosine and sine (B, T, 1, 1) of the turn that fits points to a reference."""
    across = (points * reference).sum(dim=(2, 3), keepdim=True)
    along = points[..., 0] * reference[..., 1] - points[..., 1] * reference[..., 0]
    along = along.sum(dim=2, keepdim=True).unsqueeze(3)
    length = (across.square() + along.square()).sqrt().clamp_min(EPS)
    return across / length, along / length


def _turned(points: Tensor, across: Tensor, along: Tensor) -> Tensor:
    x, y = points[..., :1], points[..., 1:]
    return torch.cat([across * x - along * y, along * x + across * y], dim=-1)


def signals(points: Tensor, pose: Tensor) -> Tensor:
    """Return what a face does (B, T, 13) from points without the head's motion (B, T, 68, 2).

    Mouth open and wide, left and right eye open, left and right brow up, jaw down, nose to the side
    and down (how the head is turned), and the four of `without_head`.
    """

    def mean(*numbers: int) -> Tensor:
        return points[:, :, list(numbers)].mean(dim=2)

    mouth = mean(65, 66, 67) - mean(61, 62, 63)
    wide = mean(54, 64) - mean(48, 60)
    left, right = mean(40, 41) - mean(37, 38), mean(46, 47) - mean(43, 44)
    brows = [mean(36, 39) - mean(18, 19, 20), mean(42, 45) - mean(23, 24, 25)]
    jaw, nose = mean(7, 8, 9) - mean(33), mean(30) - mean(36, 39, 42, 45)
    down = [mouth[..., 1], wide[..., 0], left[..., 1], right[..., 1], *(b[..., 1] for b in brows)]
    return torch.cat([torch.stack([*down, jaw[..., 1]], dim=-1), nose, pose], dim=-1)


def _differences(series: Tensor) -> list[Tensor]:
    """Return a series (B, T, ...) without its mean, and its first three differences."""
    found = [series - series.mean(dim=1, keepdim=True)]
    for _ in ORDERS:
        found.append(found[-1][:, 1:] - found[-1][:, :-1])
    return found


def order_features(points: Tensor) -> Tensor:
    """Return what depends on the order of the frames (B, 68) for landmarks (B, T, 68, 2).

    0 on average where the frames are shuffled.
    """
    still, pose = without_head(points)
    each = signals(still, pose)
    regions = [_differences(still[:, :, a:b].flatten(2)) for a, b in REGIONS]
    single = _differences(each)
    found = []
    for order in ORDERS:
        white = comb(2 * order, order)  # of the variance, where the frames have no order
        energy = [r[order].square().mean(dim=(1, 2)) / white for r in regions]
        start = [r[0].square().mean(dim=(1, 2)) for r in regions]
        energies = torch.cat(
            [torch.stack(energy, 1), single[order].square().mean(dim=1) / white], dim=1
        )
        starts = torch.cat([torch.stack(start, 1), single[0].square().mean(dim=1)], dim=1)
        found.append(((energies + EPS) / (starts + EPS)).log())
    together = [_correlations(s) for s in single[:3]]
    found += [later - earlier for earlier, later in pairwise(together)]
    return torch.cat(found, dim=1)


def _correlations(series: Tensor) -> Tensor:
    """Return how the pairs of signals (B, T, 13) go together (B, 7)."""
    first, second = (series[..., list(side)] for side in zip(*PAIRS, strict=True))
    both = (first * second).sum(dim=1)
    each = first.square().sum(dim=1) * second.square().sum(dim=1)
    return both / (each + EPS * EPS).sqrt()


class Kinematics(nn.Module):
    """Tell faces that move by themselves from those that a generator moves.

    Args:
        hidden: Width of the layers.
        dropout: Share of features left out in training.
    """

    def __init__(self, *, hidden: int = 32, dropout: float = 0.2) -> None:
        super().__init__()
        self.num_features = hidden
        width = len(ORDERS) * (len(REGIONS) + SIGNALS) + 2 * len(PAIRS)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.layers = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.GELU(),
        )
        self.head = nn.Linear(hidden, 1)

    def scaled(self, features: Tensor) -> Tensor:
        """Return what the layers see of `order_features` (B, W): alike in mean and spread."""
        mean, scale = self.get_buffer("mean"), self.get_buffer("scale")
        return ((features - mean) / scale).clamp(-LIMIT, LIMIT)

    def forward_features(self, points: Tensor) -> Tensor:
        """Return features (B, D) for landmarks (B, T, 68, 2) at even steps, in any unit."""
        features: Tensor = self.layers(self.scaled(order_features(points)))
        return features

    def forward(self, points: Tensor) -> Tensor:
        """Return logits (B,) for landmarks (B, T, 68, 2)."""
        logits: Tensor = self.head(self.forward_features(points))
        return logits.squeeze(1)
