"""The few things we do to a disk, each durable when it returns, so that a crash between two leaves a known state."""

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

CHUNK_BYTES = 1 << 20


class Disk:
    """Steps on a real file system. A test counts them and dies at each."""

    def make_directory(self, path: Path) -> None:
        """Makes it with its parents; nothing if it is there."""
        path.mkdir(parents=True, exist_ok=True)

    def write(self, path: Path, content: bytes) -> None:
        """A new file with this content, flushed to the disk."""
        self.write_pieces(path, (content,))

    def write_pieces(self, path: Path, pieces: Iterable[bytes]) -> None:
        """A new file of these pieces one after the other, flushed to the disk."""
        with path.open("wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())

    def copy(self, source: Path, target: Path) -> None:
        """A copy of the content, flushed to the disk."""
        with source.open("rb") as reader, target.open("wb") as writer:
            shutil.copyfileobj(reader, writer, CHUNK_BYTES)
            writer.flush()
            os.fsync(writer.fileno())

    def sync_directory(self, path: Path) -> None:
        """Makes the names in a directory durable."""
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def rename(self, source: Path, target: Path) -> None:
        """Atomic. Replaces a file; refuses a directory that holds something."""
        source.rename(target)

    def remove(self, path: Path) -> None:
        """Removes a file or a whole directory; nothing if it is not there."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def sha256_of_file(path: Path) -> str:
    """Digest of the content, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            digest.update(piece)
    return digest.hexdigest()
