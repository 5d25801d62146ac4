"""A signed bundle: the verdict, its page, and the hashes of clip and model.

A bundle is a ZIP file of fixed layout: nothing in it is compressed or dated, so that its content
gives the same bytes again and a changed bit anywhere shows. `manifest.json` holds the SHA-256 of
every other file, and `manifest.sig` its Ed25519 signature (Bernstein et al., 2011).
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepfake.errors import DeepfakeError, require
from deepfake.types import Verdict

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MANIFEST, SIGNATURE, VERDICT, PAGE = "manifest.json", "manifest.sig", "verdict.json", "report.html"
MAX_BYTES = 256 * 2**20
KEY = Path.home() / ".config" / "deepfake" / "signing-key.pem"


class BundleError(DeepfakeError):
    """A bundle that was changed, or is none; the message names the part."""


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every bit is as it was signed."""

    manifest: dict[str, Any]  # of clip, model and files
    verdict: dict[str, Any]  # as `Verdict.to_dict` gave it
    key: str  # the public key that signed it, in hexadecimal


def signing_key(file: Path = KEY) -> "Ed25519PrivateKey":
    """Return the key in a PEM file; a new one is made where there is none.

    Raises:
        DeepfakeError: It cannot be read or written, or is of another kind.
    """
    require("cryptography", "evidence", "Signing")
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        if not file.exists():
            made = Ed25519PrivateKey.generate().private_bytes(
                form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
            )
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            file.write_bytes(made)
        key = form.load_pem_private_key(file.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise DeepfakeError(f"--signing-key {file}: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise DeepfakeError(f"--signing-key {file}: not an Ed25519 key. Give another file.")
    return key


def public_key(key: "Ed25519PrivateKey") -> str:
    """Return the public half of a key, in hexadecimal."""
    return key.public_key().public_bytes_raw().hex()


def write_bundle(file: Path, verdict: Verdict, page: str, key: "Ed25519PrivateKey") -> Path:
    """Write a verdict and its page, signed; return the file.

    Raises:
        OSError: It cannot be written.
    """
    names = {name: Path(getattr(verdict, name)).name for name in ("video", "checkpoint")}
    content = {**verdict.to_dict(), **names}
    files = {
        VERDICT: (json.dumps(content, indent=2, allow_nan=False) + "\n").encode(),
        PAGE: page.encode("utf-8", "backslashreplace"),
    }
    manifest = {
        "version": 1,
        "clip": content["video"],
        "clip_sha256": verdict.provenance["sha256"],
        "checkpoint_sha256": verdict.provenance["checkpoint_sha256"],
        "time": verdict.provenance["time"],
        "key": public_key(key),
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    files[MANIFEST] = (json.dumps(manifest, indent=2) + "\n").encode()
    files[SIGNATURE] = key.sign(files[MANIFEST])
    file.write_bytes(_zip(files))
    return file


def read_bundle(file: Path) -> Bundle:
    """Return a bundle after every bit of it was checked.

    Raises:
        BundleError: A part was changed, is missing, or does not belong there.
    """
    require("cryptography", "evidence", "Checking a signature")
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    files, data = _unzip(file)
    for name in (MANIFEST, SIGNATURE, VERDICT, PAGE):
        if name not in files:
            raise BundleError(f"{file}: {name} is missing or its name was changed")
    try:
        manifest = json.loads(files[MANIFEST])
        key = bytes.fromhex(manifest["key"])
        Ed25519PublicKey.from_public_bytes(key).verify(files[SIGNATURE], files[MANIFEST])
        hashes: dict[str, str] = manifest["files"]
    except (ValueError, KeyError, TypeError, InvalidSignature) as error:
        raise BundleError(f"{file}: {MANIFEST} or {SIGNATURE} was changed") from error
    for name in sorted({*files, *hashes} - {MANIFEST, SIGNATURE}):
        there = hashlib.sha256(files[name]).hexdigest() if name in files else None
        if there != hashes.get(name):
            raise BundleError(f"{file}: {name} is not as it was signed")
    again = _zip(files)
    if again != data:
        place = next((k for k, (a, b) in enumerate(zip(again, data, strict=False)) if a != b), -1)
        where = f"byte {place}" if place >= 0 else "its end"
        raise BundleError(f"{file}: the ZIP file around the parts was changed, at {where}")
    return Bundle(manifest, json.loads(files[VERDICT]), key.hex())


def _zip(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as made:
        for name in sorted(files):
            made.writestr(zipfile.ZipInfo(name), files[name])
    return stream.getvalue()


def _unzip(file: Path) -> tuple[dict[str, bytes], bytes]:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise BundleError(f"{file} is larger than any bundle")
        data = file.read_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as found:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in found.infolist()):
                raise BundleError(f"{file}: a part is compressed, so this is no bundle of ours")
            return {entry.filename: found.read(entry) for entry in found.infolist()}, data
    except OSError as error:
        raise BundleError(f"{file}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        raise BundleError(f"{file} was changed or is no bundle ({error})") from error
