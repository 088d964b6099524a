"""Signatures: what a trusted key signed is read, everything else is refused with the right reason."""

import base64
import json
import sys
from typing import Any

import pytest

from cavs.runtime.errors import FleetError, ReleaseRefused
from cavs.runtime.signing import new_private_key, read_private_key, read_public_key, verify

KIND = "application/test"


@pytest.fixture
def envelope() -> tuple[bytes, Any]:
    key, _ = new_private_key()
    return key.sign(b"hello", KIND), key.public("robot-1")


def edited(envelope: bytes, **changes: object) -> bytes:
    return json.dumps({**json.loads(envelope), **changes}).encode()


def test_what_a_trusted_key_signed_is_read_and_says_whose_it_is(envelope: tuple[bytes, Any]) -> None:
    signed = verify(envelope[0], KIND, [envelope[1]], "it")
    assert (signed.payload, signed.signer) == (b"hello", "robot-1")


def test_the_signed_bytes_are_those_of_the_published_protocol(envelope: tuple[bytes, Any]) -> None:
    signature = base64.b64decode(json.loads(envelope[0])["signatures"][0]["sig"])
    envelope[1].public.verify(signature, b"DSSEv1 16 application/test 5 hello")  # raises if it is another encoding


def test_an_altered_text_is_refused(envelope: tuple[bytes, Any]) -> None:
    forged = edited(envelope[0], payload=base64.b64encode(b"jello").decode())
    with pytest.raises(ReleaseRefused, match="it: the signature of robot-1 does not fit its content: altered"):
        verify(forged, KIND, [envelope[1]], "it")


def test_a_text_of_another_kind_is_refused_even_though_its_key_is_trusted(envelope: tuple[bytes, Any]) -> None:
    with pytest.raises(ReleaseRefused, match="it holds 'application/test', expected 'application/other'"):
        verify(envelope[0], "application/other", [envelope[1]], "it")
    with pytest.raises(ReleaseRefused, match="altered"):
        verify(edited(envelope[0], payloadType="application/other"), "application/other", [envelope[1]], "it")


def test_an_unsigned_text_is_refused_as_such(envelope: tuple[bytes, Any]) -> None:
    with pytest.raises(ReleaseRefused, match="it: not signed"):
        verify(edited(envelope[0], signatures=[]), KIND, [envelope[1]], "it")


def test_a_foreign_key_is_named(envelope: tuple[bytes, Any]) -> None:
    stranger, _ = new_private_key()
    with pytest.raises(ReleaseRefused, match="which is not trusted here") as refused:
        verify(stranger.sign(b"hello", KIND), KIND, [envelope[1]], "it")
    assert stranger.key_id in str(refused.value)


def test_a_foreign_key_that_borrows_a_trusted_name_is_refused(envelope: tuple[bytes, Any]) -> None:
    stranger, _ = new_private_key()
    signature = {**json.loads(stranger.sign(b"hello", KIND))["signatures"][0], "keyid": envelope[1].key_id}
    with pytest.raises(ReleaseRefused, match="altered after it was signed"):
        verify(edited(envelope[0], signatures=[signature]), KIND, [envelope[1]], "it")


def test_one_trusted_signature_among_several_is_enough(envelope: tuple[bytes, Any]) -> None:
    stranger, _ = new_private_key()
    both = [json.loads(stranger.sign(b"hello", KIND))["signatures"][0], json.loads(envelope[0])["signatures"][0]]
    assert verify(edited(envelope[0], signatures=both), KIND, [envelope[1]], "it").signer == "robot-1"


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"payload":"a","payloadType":"t"}', b'{"payload":"!!!!","payloadType":"t"}'],
)
def test_what_is_no_envelope_is_refused_as_torn(text: bytes, envelope: tuple[bytes, Any]) -> None:
    with pytest.raises(ReleaseRefused, match=r"it: not a signed envelope .*torn"):
        verify(text, KIND, [envelope[1]], "it")


def test_a_private_key_is_read_back_equal() -> None:
    key, pem = new_private_key()
    assert read_private_key(pem, "file").key_id == key.key_id
    with pytest.raises(FleetError, match="file: not a private key"):
        read_private_key(b"nonsense", "file")


def test_a_public_key_is_read_back_equal_and_other_keys_are_refused() -> None:
    key, _ = new_private_key()
    line = key.public_line("robot-1")
    assert line.startswith("ssh-ed25519 ")
    assert line.endswith(" robot-1\n")
    assert read_public_key(line, "robot-1", "KEY").key_id == key.key_id
    for wrong in ("", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-strange AAAAB3NzaC1yc2E= x"):
        with pytest.raises(FleetError, match="KEY: not a public key; a line `ssh-ed25519"):
            read_public_key(wrong, "x", "KEY")


def test_keys_of_another_kind_are_refused() -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    other = ec.generate_private_key(ec.SECP256R1())
    line = other.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with pytest.raises(FleetError, match="KEY: a key of another kind"):
        read_public_key(line, "x", "KEY")
    with pytest.raises(FleetError, match="file: a key of another kind than Ed25519"):
        read_private_key(other.private_bytes(*form), "file")


def test_a_missing_library_is_said_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)  # as Python marks a package that cannot be imported
    with pytest.raises(FleetError, match=r"pip install 'cavs-stream\[fleet\]'"):
        new_private_key()
