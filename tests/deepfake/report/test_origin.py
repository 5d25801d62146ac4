"""What a clip says of its origin: the right word whatever is in it, and no socket."""

import datetime
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

c2pa = pytest.importorskip("c2pa", reason="the extra `provenance` is not installed")

from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: E402

from deepfake.report.origin import (  # noqa: E402
    CREDENTIALS,
    HISTORY,
    SOURCE,
    Asked,
    look_up,
    origin,
)

KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(lasts_s: float) -> str:
    """Return a certificate that signs itself, as PEM."""
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Anna Example")])
    usage = x509.KeyUsage(True, *[False] * 8)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(seconds=lasts_s))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(KEY.public_key()), False)
        .sign(KEY, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def sign(source: Path, target: Path, chain: str, **more: object) -> Path:
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private = KEY.private_bytes(pem, pkcs8, serialization.NoEncryption())
    info = c2pa.C2paSignerInfo(
        alg=b"es256", sign_cert=chain.encode(), private_key=private, ta_url=None
    )
    kind = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    made = {"actions": [{"action": "c2pa.created", "digitalSourceType": kind}]}
    manifest: dict[str, object] = {
        "claim_generator_info": [{"name": "made up", "version": "1"}],
        "assertions": [{"label": "c2pa.actions", "data": made}, *more.get("assertions", [])],  # type: ignore[misc]
    }
    if "label" in more:
        manifest["label"] = more["label"]
    with c2pa.Builder(manifest) as builder, source.open("rb") as given, target.open("w+b") as file:
        if isinstance(part := more.get("part"), Path):
            with part.open("rb") as ingredient:
                about = '{"title": "a part", "relationship": "componentOf"}'
                builder.add_ingredient(about, "video/mp4", ingredient)
        builder.sign(c2pa.Signer.from_info(info), "video/mp4", given, file)
    return target


def word(path: Path, trusted: str = "") -> str:
    return dict(origin(path, trusted))[CREDENTIALS]


@pytest.fixture
def clip(samples: Path) -> Path:
    return samples / "real.mp4"


def test_signed_by_somebody(clip: Path, tmp_path: Path) -> None:
    chain = certificate(1000)
    signed = sign(clip, tmp_path / "a.mp4", chain)
    assert word(signed).startswith("valid, but the signer is unknown: anybody can sign as Anna")
    assert word(signed).endswith("it says: made by a generative model")
    assert word(signed, chain).startswith("valid, signed by Anna Example, whom your list trusts")


def test_changed_stripped_and_cut(clip: Path, tmp_path: Path) -> None:
    signed = sign(clip, tmp_path / "a.mp4", certificate(1000))
    changed = bytearray(signed.read_bytes())
    changed[-2000] ^= 1
    (tmp_path / "changed.mp4").write_bytes(changed)
    assert word(tmp_path / "changed.mp4").startswith("invalid: the content was changed after")
    assert word(clip).startswith("unknown: none found")
    (tmp_path / "cut.mp4").write_bytes(signed.read_bytes()[: signed.stat().st_size // 2])
    assert word(tmp_path / "cut.mp4").startswith(("unknown: ", "invalid: "))


def test_expired(clip: Path, tmp_path: Path) -> None:
    signed = sign(clip, tmp_path / "a.mp4", certificate(3))
    time.sleep(4)
    assert word(signed).startswith("invalid: the signer's certificate was not valid")


@pytest.mark.slow
def test_a_huge_manifest_and_boxes_without_end(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = {"label": "org.example.note", "data": {"text": "x" * 500_000}}
    huge = sign(clip, tmp_path / "a.mp4", certificate(1000), assertions=[note])
    assert word(huge).startswith(("valid, but", "unknown: "))
    monkeypatch.setattr("deepfake.report.origin.TIMEOUT_S", 5.0)  # the library takes minutes
    nested = b"".join((8).to_bytes(4, "big") + b"moov" for _ in range(200_000))
    (tmp_path / "nested.mp4").write_bytes(clip.read_bytes() + nested)
    (tmp_path / "loop.mp4").write_bytes(clip.read_bytes() + b"\0\0\0\0uuid" * 1000)
    for name in ("nested", "loop"):
        assert word(tmp_path / f"{name}.mp4").startswith("unknown: ")


def test_a_manifest_that_is_a_part_of_itself(clip: Path, tmp_path: Path) -> None:
    one, two = (f"urn:c2pa:{digit * 8}-2222-4333-8444-555555555555" for digit in "19")
    chain = certificate(1000)
    part = sign(clip, tmp_path / "part.mp4", chain, label=one)
    whole = sign(clip, tmp_path / "whole.mp4", chain, label=two, part=part)
    assert word(whole).startswith("valid, but the signer is unknown")
    assert one.encode() in whole.read_bytes()
    (tmp_path / "loop.mp4").write_bytes(whole.read_bytes().replace(one.encode(), two.encode()))
    assert word(tmp_path / "loop.mp4").startswith(("unknown: ", "invalid: "))


def test_what_the_file_itself_tells(clip: Path, tmp_path: Path) -> None:
    kind = b"http://cv.iptc.org/newscodes/digitalsourcetype/compositeSynthetic"
    packet = b'<x:xmpmeta><r Iptc4xmpExt:DigitalSourceType="' + kind + b'"/></x:xmpmeta>'
    told = tmp_path / "told.mp4"
    told.write_bytes(clip.read_bytes() + (8 + len(packet)).to_bytes(4, "big") + b"free" + packet)
    found = dict(look_up(Asked(told)))
    assert found[SOURCE] == (
        "says that it was put together, in part synthetic (compositeSynthetic)"
    )
    assert "written again by Lavf" in found[HISTORY]
    assert "unknown: none found" in dict(look_up(Asked(clip)))[SOURCE]


def test_a_photograph_names_its_program(tmp_path: Path) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0131], exif[0x010F] = "Adobe Photoshop 25.0", "Canon"
    Image.new("RGB", (64, 64)).save(tmp_path / "a.jpg", exif=exif)
    history = dict(look_up(Asked(tmp_path / "a.jpg")))[HISTORY]
    assert "edited or made with Adobe Photoshop 25.0 (software)" in history
    assert "make Canon" in history


def test_no_socket_is_opened(clip: Path, tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    signed = sign(clip, tmp_path / "a.mp4", certificate(1000))
    code = (
        "import pathlib, sys; from deepfake.report.origin import Asked, look_up\n"
        "print(look_up(Asked(pathlib.Path(sys.argv[1]))))"
    )
    command = ["strace", "-f", "-e", "trace=network", sys.executable, "-c", code, str(signed)]
    traced = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "valid, but" in traced.stdout
    assert "socket(" not in traced.stderr
    assert "connect(" not in traced.stderr
