"""One network a file; each maps faces (B, 3, H, W), or clips of T faces, to logits (B,)."""

from deepfake.models.attention_efficientnet import EfficientNetAutoAttB4
from deepfake.models.attention_pooling import AttentionPooling
from deepfake.models.cmt import CMT
from deepfake.models.convit import ConViT
from deepfake.models.cross_efficient_vit import CrossEfficientViT
from deepfake.models.cvit import CViT
from deepfake.models.efficient_vit import EfficientViT
from deepfake.models.efficientnet import EfficientNet
from deepfake.models.frame_transformer import FrameTransformer
from deepfake.models.mesonet import Meso4, MesoInception4
from deepfake.models.timm_classifier import TimmClassifier

__all__ = [
    "EfficientViT",
    "CrossEfficientViT",
    "ConViT",
    "CMT",
    "TimmClassifier",
    "EfficientNet",
    "EfficientNetAutoAttB4",
    "CViT",
    "Meso4",
    "MesoInception4",
    "FrameTransformer",
    "AttentionPooling",
]
