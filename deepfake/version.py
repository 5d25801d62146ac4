"""The package's version, without importlib.metadata, whose import takes 0.03 CPU s."""

VERSION = "0.1.0"  # as in pyproject.toml
