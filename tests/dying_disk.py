"""A disk that dies, to see what a power cut at each step leaves."""

from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from cavs.runtime.disk import Disk


class PowerCut(BaseException):
    """Not an Exception: nobody may catch it and carry on."""


class DyingDisk(Disk):
    """Does so many steps, then dies in the next one: before it, or half-way through. Nothing works after that."""

    def __init__(self, steps: int, *, half_way: bool) -> None:
        self._left = steps
        self._half_way = half_way
        self.dead = False

    def _dies(self) -> bool:
        if self.dead:
            raise PowerCut
        self._left -= 1
        return self._left < 0

    def _die(self) -> NoReturn:
        self.dead = True
        raise PowerCut

    def make_directory(self, path: Path) -> None:
        if self._dies():
            self._die()
        super().make_directory(path)

    def write_pieces(self, path: Path, pieces: Iterable[bytes]) -> None:
        if self._dies():
            if self._half_way:
                content = b"".join(pieces)
                path.write_bytes(content[: len(content) // 2])
            self._die()
        super().write_pieces(path, pieces)

    def copy(self, source: Path, target: Path) -> None:
        if self._dies():
            if self._half_way:
                target.write_bytes(source.read_bytes()[:-1])
            self._die()
        super().copy(source, target)

    def sync_directory(self, path: Path) -> None:
        if self._dies():
            self._die()
        super().sync_directory(path)

    def rename(self, source: Path, target: Path) -> None:
        if self._dies():
            if self._half_way:
                super().rename(source, target)
            self._die()
        super().rename(source, target)

    def remove(self, path: Path) -> None:
        if self._dies():
            if self._half_way and path.is_dir():
                for item in sorted(path.iterdir())[:1]:
                    super().remove(item)
            self._die()
        super().remove(path)
