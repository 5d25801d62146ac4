"""Code of the user's own: modules they name are imported, and what is in them is found by path.

What a file names, such as a checkpoint, is looked up among the modules that are imported already;
only what the user wrote, on the command line or in a configuration, is ever imported.
"""

import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepfake.errors import DeepfakeError


def import_modules(modules: Sequence[str], folder: Path | None = None) -> None:
    """Import modules, which may lie in a folder.

    Args:
        modules: Their names.
        folder: Where they may lie; None for the one that the command runs in.

    Raises:
        DeepfakeError: One cannot be imported.
    """
    place = str(folder or Path.cwd())
    if place not in sys.path:
        sys.path.insert(0, place)
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise DeepfakeError(f"{name} cannot be imported: {error}") from error


def imported(path: str) -> Any:  # noqa: ANN401
    """Return what a path such as "my_networks.ResidualNet" names, None if it is not imported."""
    module, _, name = path.rpartition(".")
    return getattr(sys.modules.get(module), name, None)


def made(text: str, kind: type) -> Any:  # noqa: ANN401
    """Return an object of a class that is imported, described as Python would make it.

    >>> import fractions
    >>> made("fractions.Fraction(numerator=1, denominator=3)", object)
    Fraction(1, 3)

    Args:
        text: The class's path, and plain arguments in brackets if it needs any.
        kind: What the class must be a subclass of, since text from a file could name any.

    Raises:
        ValueError: The text is something else, the class is not imported, or refuses.
    """
    path, positional, named = _parts(text)
    found = imported(path)
    if found is None:
        module = path.rpartition(".")[0]
        raise ValueError(f"{path} is not imported; name its module: --import {module or path}")
    if not isinstance(found, type) or kind not in found.__mro__:
        raise ValueError(f"{path} is no subclass of {kind.__module__}.{kind.__qualname__}")
    try:
        return found(*positional, **named)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{text}: {error}") from error


def import_and_make(text: str, kind: type = object) -> Any:  # noqa: ANN401
    """Return what `made` returns, of a text that the user wrote; its module is imported first.

    Raises:
        DeepfakeError: It cannot be imported or made.
    """
    try:
        module = _parts(text)[0].rpartition(".")[0]
        import_modules([module] if module else [])
        return made(text, kind)
    except ValueError as error:
        raise DeepfakeError(str(error)) from error


def _parts(text: str) -> tuple[str, list[Any], dict[str, Any]]:
    try:
        node = ast.parse(text.strip(), mode="eval").body
        if not isinstance(node, ast.Call):
            return ast.unparse(node), [], {}
        named = {word.arg or "**": ast.literal_eval(word.value) for word in node.keywords}
        return ast.unparse(node.func), [ast.literal_eval(value) for value in node.args], named
    except (SyntaxError, ValueError) as error:
        raise ValueError(
            f"{text!r} is no class path; write my_module.MyClass or my_module.MyClass(size=3)"
        ) from error
