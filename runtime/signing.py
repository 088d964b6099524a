"""Signatures over what a machine vouches for: Ed25519 keys, and DSSE envelopes around the signed text.

An envelope (github.com/secure-systems-lab/dsse, protocol 1.0.2) carries the text in base64 and a signature over its type
and its bytes, so the signature is checked before anything in the text is parsed.

The library `cryptography` comes with the extra `fleet` and is imported when it is first needed.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, ValidationError

from cavs.runtime.errors import FleetError, ReleaseRefused
from cavs.runtime.manifest import Record, what_is_wrong

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURES_MAX = 16
"""In one envelope; each costs a check."""
PUBLIC_KEY_FORM = "a line `ssh-ed25519 ... NAME` was expected"


@dataclass(frozen=True, slots=True, eq=False)
class SigningKey:
    """A private key and the fingerprint of its public half."""

    key_id: str
    private: "Ed25519PrivateKey"

    def sign(self, payload: bytes, payload_type: str) -> bytes:
        """The envelope around `payload`: JSON that ends with a new line."""
        signature = Signature(keyid=self.key_id, sig=_base64(self.private.sign(_signed_bytes(payload, payload_type))))
        envelope = Envelope(payload=_base64(payload), payloadType=payload_type, signatures=(signature,))
        return (envelope.model_dump_json(indent=1) + "\n").encode()

    def public(self, name: str) -> "TrustedKey":
        """The public half, to check what this machine itself signed."""
        return TrustedKey(name, self.key_id, self.private.public_key())

    def public_line(self, name: str) -> str:
        """The public half in OpenSSH's form, with `name` as its comment."""
        return public_line(self.private.public_key(), name)


@dataclass(frozen=True, slots=True, eq=False)
class TrustedKey:
    """A public key whose signatures count. `name` is what it is called here, `key_id` what `ssh-keygen -lf` prints."""

    name: str
    key_id: str
    public: "Ed25519PublicKey"


@dataclass(frozen=True, slots=True)
class Signed:
    """A text that a trusted key vouches for, and that key's name."""

    payload: bytes
    signer: str


class Signature(Record):
    """One signature of an envelope."""

    keyid: Annotated[str, Field(max_length=100)]
    sig: Annotated[str, Field(max_length=200)]


class Envelope(Record):
    """A DSSE envelope, its fields as the protocol names them."""

    payload: str
    payloadType: Annotated[str, Field(max_length=100)]  # noqa: N815  the protocol's word
    signatures: Annotated[tuple[Signature, ...], Field(max_length=SIGNATURES_MAX)] = ()


def new_private_key() -> tuple[SigningKey, bytes]:
    """A fresh key and its PEM (PKCS #8, not encrypted: a robot starts without a person)."""
    _need_cryptography()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    private = ed25519.Ed25519PrivateKey.generate()
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return SigningKey(_key_id(private.public_key()), private), private.private_bytes(*form)


def read_private_key(pem: bytes, where: str) -> SigningKey:
    """Raises FleetError if `pem` is no Ed25519 key."""
    _need_cryptography()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    try:
        private = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise FleetError(f"{where}: not a private key; make one with: cavs-models keygen") from error
    if not isinstance(private, ed25519.Ed25519PrivateKey):
        raise FleetError(f"{where}: a key of another kind than Ed25519; make one with: cavs-models keygen")
    return SigningKey(_key_id(private.public_key()), private)


def read_public_key(line: str, name: str, where: str) -> TrustedKey:
    """Raises FleetError if `line` is no Ed25519 key in OpenSSH's form."""
    _need_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    try:
        public = serialization.load_ssh_public_key(line.strip().encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise FleetError(f"{where}: not a public key; {PUBLIC_KEY_FORM}") from error
    if not isinstance(public, ed25519.Ed25519PublicKey):
        raise FleetError(f"{where}: a key of another kind; {PUBLIC_KEY_FORM}")
    return TrustedKey(name, _key_id(public), public)


def public_line(public: "Ed25519PublicKey", name: str) -> str:
    """One line in OpenSSH's form, with `name` as its comment."""
    from cryptography.hazmat.primitives import serialization

    line = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return f"{line.decode()} {name}\n"


def verify(envelope: bytes, payload_type: str, trusted: Sequence[TrustedKey], what: str) -> Signed:
    """What a trusted key signed. Raises ReleaseRefused: torn, unsigned, by keys that are not trusted, or altered."""
    _need_cryptography()
    from cryptography.exceptions import InvalidSignature

    try:
        opened = Envelope.model_validate_json(envelope)
        payload = base64.b64decode(opened.payload, validate=True)
        by_key = {signature.keyid: base64.b64decode(signature.sig, validate=True) for signature in opened.signatures}
    except ValidationError as error:
        raise ReleaseRefused(f"{what}: not a signed envelope ({what_is_wrong(error)}): torn or not written by cavs") from error
    except (binascii.Error, ValueError) as error:
        raise ReleaseRefused(f"{what}: not a signed envelope ({error}): torn or not written by cavs") from error
    if opened.payloadType != payload_type:
        raise ReleaseRefused(f"{what}: it holds {opened.payloadType!r}, expected {payload_type!r}")
    if not by_key:
        raise ReleaseRefused(f"{what}: not signed; only what a trusted key signed is taken")
    known = [key for key in trusted if key.key_id in by_key]
    if not known:
        raise ReleaseRefused(
            f"{what}: signed by {next(iter(by_key))!r}, which is not trusted here; if it is one of yours: cavs-models trust KEY"
        )
    for key in known:
        try:
            key.public.verify(by_key[key.key_id], _signed_bytes(payload, payload_type))
        except InvalidSignature:
            continue
        return Signed(payload, key.name)
    raise ReleaseRefused(f"{what}: the signature of {known[0].name} does not fit its content: altered after it was signed")


def _signed_bytes(payload: bytes, payload_type: str) -> bytes:
    """DSSE's pre-authentication encoding: type and payload, each with its length, so neither can pass for the other."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _key_id(public: "Ed25519PublicKey") -> str:
    blob = base64.b64decode(public_line(public, "").split()[1])
    return "SHA256:" + _base64(hashlib.sha256(blob).digest()).rstrip("=")


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _need_cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise FleetError("signatures need the package cryptography: pip install 'cavs-stream[fleet]'") from error
