"""Where a fleet's models lie: object storage or a shared folder, through fsspec.

Credentials, endpoints and regions come from where each library looks for them (for S3: AWS's own variables and files,
or fsspec's configuration); none of them is an option of ours, so none ends in a process list.

`fsspec` comes with the extra `fleet`; a storage's own library (s3fs, gcsfs, adlfs, ...) is installed beside it.
"""

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from cavs.runtime.disk import CHUNK_BYTES
from cavs.runtime.errors import FleetError, ReleaseRefused, RemoteAway
from cavs.runtime.fleet_release import FILES, RELEASES, file_path, release_number, release_path
from cavs.runtime.manifest import FileEntry

OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "memory"}
"""A write appears whole there or not at all. Elsewhere we write beside and rename."""

SHORT_WAITS = {
    "s3": {"config_kwargs": {"connect_timeout": 10, "read_timeout": 30, "retries": {"max_attempts": 2}}},
    "s3a": {"config_kwargs": {"connect_timeout": 10, "read_timeout": 30, "retries": {"max_attempts": 2}}},
}
"""botocore would wait minutes for a network that is away; we say so and try again later."""

NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}
"""What a file system without hard links answers."""


class Remote:
    """A place that several robots reach. Raises RemoteAway for what the storage refuses, one line each.

    url: `s3://bucket/path`, `gs://bucket/path`, `file:///mnt/share/models`, a path, or any other that fsspec knows.
    """

    def __init__(self, url: str) -> None:
        try:
            from fsspec.core import split_protocol, url_to_fs
        except ImportError as error:
            raise FleetError("remotes need the package fsspec: pip install 'cavs-stream[fleet]'") from error
        self.url = url.rstrip("/")
        protocol = split_protocol(url)[0] or "file"
        options = {"use_listings_cache": False, "skip_instance_cache": True, **SHORT_WAITS.get(protocol, {})}
        try:
            self._fs, root = url_to_fs(url, **options)
        except ImportError as error:
            raise FleetError(f"{url}: {_one_line(error)}, with pip beside cavs-stream[fleet]") from error
        except (ValueError, OSError) as error:
            raise FleetError(
                f"{url}: {_one_line(error)}; for example s3://bucket/models or file:///mnt/share/models"
            ) from error
        self._root = str(root).rstrip("/")
        self._is_local = protocol in {"file", "local"}
        self._is_object_store = protocol in OBJECT_STORES

    def __str__(self) -> str:
        return self.url

    def require(self) -> None:
        """Raises FleetError if it is a folder that is not there: a share that is not mounted looks like that."""
        if self._is_local and not Path(self._root).is_dir():
            raise FleetError(f"{self.url}: there is no such folder; mount the share, or make it: mkdir -p {self._root}")

    def release_numbers(self) -> tuple[int, ...]:
        """Numbers of all releases, descending; nothing in them was looked at."""
        self.require()
        with self._reaching(RELEASES):
            try:
                names = self._fs.ls(f"{self._root}/{RELEASES}", detail=False)
            except FileNotFoundError:
                return ()
        numbers = (release_number(PurePosixPath(name).name) for name in names)
        return tuple(sorted((number for number in numbers if number is not None), reverse=True))

    def read_release(self, number: int, bytes_max: int) -> bytes:
        """A release as it lies there, cut off behind `bytes_max`."""
        with self._reaching(release_path(number)), self._fs.open(f"{self._root}/{release_path(number)}", "rb") as file:
            content: bytes = file.read(bytes_max + 1)
        return content[:bytes_max]

    def create_release(self, number: int, content: bytes) -> bool:
        """Writes a release whole; False if its number is taken by another."""
        path = f"{self._root}/{release_path(number)}"
        with self._reaching(release_path(number)):
            try:
                if self._is_local:
                    _create_file(Path(path), content)
                else:
                    self._make_folder(RELEASES)
                    self._fs.pipe_file(path, content, mode="create")
            except FileExistsError:
                return False
            with self._fs.open(path, "rb") as file:  # not every storage can refuse a second writer
                return bool(file.read(len(content) + 1) == content)

    def has_file(self, entry: FileEntry) -> bool:
        """Whether a content lies there with its full size."""
        with self._reaching(file_path(entry.sha256)):
            try:
                return bool(self._fs.info(f"{self._root}/{file_path(entry.sha256)}")["size"] == entry.size_bytes)
            except FileNotFoundError:
                return False

    def write_file(self, entry: FileEntry, source: Path) -> None:
        """Puts a content under its digest; whole at once, or not there."""
        path = f"{self._root}/{file_path(entry.sha256)}"
        with self._reaching(file_path(entry.sha256)):
            self._make_folder(FILES)
            if self._is_object_store:
                self._fs.put_file(str(source), path)
                return
            beside = f"{path}.{secrets.token_hex(4)}.part"
            try:
                self._fs.put_file(str(source), beside)
                self._fs.mv(beside, path)
            except BaseException:
                with suppress(Exception):
                    self._fs.rm_file(beside)
                raise

    def pieces(self, entry: FileEntry) -> Iterator[bytes]:
        """A content piece by piece. Raises ReleaseRefused behind its last byte if it is not what its digest says."""
        what = f"file {entry.name} ({entry.sha256[:12]})"
        again = "push that release once more with --again"
        digest, left = hashlib.sha256(), entry.size_bytes
        with self._reaching(file_path(entry.sha256)):
            try:
                file = self._fs.open(f"{self._root}/{file_path(entry.sha256)}", "rb")
            except FileNotFoundError:
                raise ReleaseRefused(f"{what} is not in {self.url}: removed, or not there yet; {again}") from None
            with file:
                while piece := file.read(min(CHUNK_BYTES, left + 1)):
                    left -= len(piece)
                    if left < 0:
                        raise ReleaseRefused(f"{what} is longer than the {entry.size_bytes} bytes that were signed; {again}")
                    digest.update(piece)
                    yield piece
        if left:
            raise ReleaseRefused(f"{what} ends {left} bytes before the {entry.size_bytes} that were signed: torn; {again}")
        if digest.hexdigest() != entry.sha256:
            raise ReleaseRefused(f"{what} has sha256 {digest.hexdigest()[:12]}, not the one that was signed: altered; {again}")

    def _make_folder(self, name: str) -> None:
        if not self._is_object_store:
            self._fs.makedirs(f"{self._root}/{name}", exist_ok=True)

    @contextmanager
    def _reaching(self, path: str) -> Iterator[None]:
        """Each storage has exceptions of its own without a common parent: whatever it raises is the world's fault."""
        try:
            yield
        except (FleetError, GeneratorExit):
            raise
        except Exception as error:
            raise RemoteAway(f"{self.url}/{path}: {_one_line(error)}") from error


def _create_file(path: Path, content: bytes) -> None:
    """A file that appears whole under a name that must be free: raises FileExistsError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(beside, path)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            with path.open("xb") as file:  # a reader may see half of it for a moment, and refuses that as torn
                file.write(content)
    finally:
        beside.unlink(missing_ok=True)


def _one_line(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(said.split()) or type(error).__name__
