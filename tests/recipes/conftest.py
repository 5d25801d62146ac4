"""The drawn faces of the data's tests."""

from tests.deepfake.data.conftest import face, landmarks

__all__ = ["face", "landmarks"]
