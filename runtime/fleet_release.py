"""What lies in a remote: files under their digests, and signed releases that name them.

REMOTE/files/<sha256>         contents: of bundles and adapters; written before the release that names them
REMOTE/releases/<number>.json signed releases, numbered from 1; each is written once and never changed

A release is the last thing that a push writes, so a reader never sees half of one. There is no pointer to the newest: the
newest is the highest number that a trusted key signed.
"""

from datetime import datetime, timezone
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator
from typing_extensions import Self

from cavs.runtime.adapter import ADAPTER_MANIFEST_FILE
from cavs.runtime.bundle import ADAPTER_FILE, MANIFEST_FILE
from cavs.runtime.errors import ReleaseRefused
from cavs.runtime.manifest import FileEntry, Record, Sha256, to_json, what_is_wrong
from cavs.runtime.signing import SigningKey, TrustedKey, verify

FILES, RELEASES = "files", "releases"
NUMBER_DIGITS = 9
NUMBER_MAX = 10**NUMBER_DIGITS - 1
RELEASE_TYPE = "application/vnd.cavs.release+json"
RELEASE_MAX_BYTES = 1 << 20
"""A release has some kilobytes; more than this is another file under its name."""

ReleaseNumber = Annotated[int, Field(gt=0, le=NUMBER_MAX)]


class Release(Record):
    """One model that a fleet may run. `number` is signed with it, so an old one cannot be passed off as new."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    number: ReleaseNumber
    made: str
    """When, in UTC, for people."""
    bundle_id: Sha256
    bundle_files: tuple[FileEntry, ...]
    adapter_id: Sha256
    adapter_files: tuple[FileEntry, ...] = ()
    """None: the bundle's default adapter."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        names = [file.name for file in self.bundle_files]
        if len(set(names)) != len(names) or MANIFEST_FILE not in names:
            raise ValueError(f"bundle_files must name each file once and {MANIFEST_FILE} among them")
        if sorted(file.name for file in self.adapter_files) not in ([], [ADAPTER_MANIFEST_FILE, ADAPTER_FILE]):
            raise ValueError(f"adapter_files must be none or {ADAPTER_MANIFEST_FILE} and {ADAPTER_FILE}")
        return self

    @property
    def model(self) -> tuple[str, str]:
        """Which model it is: ids of bundle and adapter."""
        return self.bundle_id, self.adapter_id


def release_path(number: int) -> str:
    """Where a release lies below the remote's root; names sort as numbers do."""
    return f"{RELEASES}/{number:0{NUMBER_DIGITS}}.json"


def file_path(sha256: str) -> str:
    """Where a content lies below the remote's root."""
    return f"{FILES}/{sha256}"


def release_number(name: str) -> int | None:
    """The number in the name of a release's file; none for every other name."""
    stem, dot, suffix = name.partition(".")
    is_ours = (dot, suffix) == (".", "json") and len(stem) == NUMBER_DIGITS and stem.isdecimal() and stem.isascii()
    return (int(stem) or None) if is_ours else None


def sign_release(release: Release, key: SigningKey) -> bytes:
    """The signed form of a release."""
    return key.sign(to_json(release), RELEASE_TYPE)


def open_release(envelope: bytes, number: int, trusted: tuple[TrustedKey, ...]) -> tuple[Release, str]:
    """A release and the name of the key that signed it.

    number: the one that it was found under. Raises ReleaseRefused with the reason.
    """
    what = f"release {number}"
    signed = verify(envelope, RELEASE_TYPE, trusted, what)
    try:
        release = Release.model_validate_json(signed.payload)
    except ValidationError as error:
        raise ReleaseRefused(
            f"{what}, signed by {signed.signer}: {what_is_wrong(error)}; written by another version of cavs?"
        ) from error
    if release.number != number:
        raise ReleaseRefused(f"{what}: was signed as release {release.number}: an old one put under a new number")
    return release, signed.signer


def utc_now() -> str:
    """Wall time for people, in UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
