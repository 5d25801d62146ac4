"""UCF: the part of a face's features that all forgeries share."""

from torch import Tensor, nn

from deepfake.models.timm_classifier import TimmClassifier


class UCF(TimmClassifier):
    """Xception, the branch of common forgery features, two dense layers.

    The branches of content and of each method's own features serve training alone.

    Yan et al., ICCV 2023, https://arxiv.org/abs/2304.13949

    Args:
        dim: Width of Xception's features after their reduction; the branch has half of it.
    """

    def __init__(self, dim: int = 512) -> None:
        super().__init__("legacy_xception", settings={"global_pool": ""})
        self.backbone.act4 = nn.Identity()
        self.reduce = nn.Sequential(nn.Conv2d(2048, dim, 1), nn.BatchNorm2d(dim), nn.ReLU())
        self.num_features = half = dim // 2
        layers = (nn.Conv2d(dim, half, 1), nn.Conv2d(half, half, 1), nn.Conv2d(half, half, 1))
        self.shared = nn.Sequential(layers[0], nn.LeakyReLU(), layers[1], nn.LeakyReLU(), layers[2])
        self.head = nn.Sequential(nn.Linear(half, dim), nn.LeakyReLU(), nn.Linear(dim, 1))

    def forward_features(self, faces: Tensor) -> Tensor:
        """Return features (B, dim / 2) for faces (B, 3, H, W)."""
        features: Tensor = self.shared(self.reduce(self.backbone(faces)))  # (B, dim / 2, H', W')
        return features.mean(dim=(2, 3))
