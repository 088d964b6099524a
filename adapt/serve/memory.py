"""The rehearsal memory: what the learner keeps of its lessons, bounded in bytes and in days.

Which exemplars stay: those whose sound and sight agree most, `score` of the proposal (CMR (arXiv 2510.17234), section MSS), an
equal share of the bytes for each class. Which are rehearsed: every one once, and those of a class that the old model takes the
new one for once more for each such collision (section CSR); see `cavs.adapt.methods.csr`.
"""

import shutil
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cavs.adapt.learn.exemplar import Exemplar
from cavs.adapt.serve.exemplar_files import ExemplarFolder, Kept, read_exemplar
from cavs.runtime.clock import NS_PER_S
from cavs.runtime.disk import Disk
from cavs.runtime.errors import AdaptError, DataRejected

NS_PER_DAY = 86_400 * NS_PER_S
CLOCK_SET_NS = 1_577_836_800 * NS_PER_S
"""2020-01-01: a wall clock before this was never set, so nothing is old by it."""
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept, and for how long."""

    size_bytes: int = 256 * MIB
    days: float = 365.0


@dataclass(frozen=True, slots=True)
class Share:
    """What the memory holds of one class."""

    name: str
    exemplars: int
    size_bytes: int
    oldest_ns: int
    newest_ns: int


class Memory:
    """The exemplars of a store. One process writes; whoever shows or exports them only reads."""

    def __init__(self, path: Path, bounds: Bounds | None = None, *, disk: Disk | None = None) -> None:
        self.folder = ExemplarFolder(path, disk=disk)
        self.bounds = bounds or Bounds()

    def keep(self, exemplars: Iterable[Exemplar], rate_hz: int, now_wall_ns: int) -> None:
        """Adds exemplars, then drops what is over the bounds. Raises AdaptError if the disk refuses."""
        try:
            for exemplar in exemplars:
                self.folder.add(exemplar, rate_hz)
        except OSError as error:
            raise AdaptError(
                f"{error.filename or self.folder.path}: {error.strerror}; what was kept before is untouched, free some space"
            ) from error
        self.trim(now_wall_ns)

    def trim(self, now_wall_ns: int) -> tuple[str, ...]:
        """Drops what is too old, then the worst of the largest class until the rest fits; the ids that went."""
        kept = self.folder.kept()
        gone = [one for one in kept if _too_old(one, now_wall_ns, self.bounds.days)]
        rest = [one for one in kept if not _too_old(one, now_wall_ns, self.bounds.days)]
        gone += _over(rest, self.bounds.size_bytes)
        for one in gone:
            self.folder.remove(one.id)
        return tuple(one.id for one in gone)

    def read(self, kept: Iterable[Kept], size: tuple[int, int], samples: int) -> dict[str, Exemplar]:
        """Decodes those that fit windows of this size, by id; damaged ones are left out."""
        found = {}
        for one in kept:
            record = one.record
            if (record.height_px, record.width_px, record.samples) != (*size, samples):
                continue
            try:
                found[one.id] = read_exemplar(one)
            except DataRejected:  # `memory show` names it
                continue
        return found

    def forget(self, name: str) -> int:
        """Removes every exemplar in which a class sounds, and what its lessons kept of its pauses; how many."""
        kept = self.folder.kept()
        lessons = {one.record.source for one in kept if name in one.record.names}
        gone = [one for one in kept if name in one.record.names or (not one.record.names and one.record.source in lessons)]
        for one in gone:
            self.folder.remove(one.id)
        return len(gone)

    def shares(self) -> tuple[Share, ...]:
        """What is kept of each class, by name. An exemplar of several classes counts for each; of none, as `(nothing)`."""
        by_name: dict[str, list[Kept]] = defaultdict(list)
        for one in self.folder.kept():
            for name in one.record.names or ("(nothing)",):
                by_name[name].append(one)
        return tuple(_share(name, kept) for name, kept in sorted(by_name.items()))

    def size_bytes(self) -> int:
        """Of all files."""
        return sum(one.size_bytes for one in self.folder.kept())

    def damaged_files(self) -> tuple[str, ...]:
        """What cannot be read, a line each; decodes everything."""
        lines = []
        for one in self.folder.kept():
            try:
                read_exemplar(one)
            except DataRejected as error:
                lines.append(str(error))
        return (*self.folder.damaged, *lines)

    def export(self, target: Path, names: Collection[str] = ()) -> int:
        """Copies all exemplars, or those of some classes, into a new directory; how many."""
        if target.exists():
            raise DataRejected(f"{target} exists; give the name of a new directory")
        chosen = [one for one in self.folder.kept() if not names or set(names) & set(one.record.names)]
        try:
            target.mkdir(parents=True)
            for one in chosen:
                shutil.copytree(one.path, target / one.id)
        except OSError as error:
            raise DataRejected(f"{error.filename or target}: {error.strerror}; the export is not whole") from error
        return len(chosen)


def _too_old(one: Kept, now_wall_ns: int, days: float) -> bool:
    """A stamp of a clock that was never set, or of the future, says nothing about an age."""
    return one.record.wall_ns >= CLOCK_SET_NS and now_wall_ns - one.record.wall_ns > days * NS_PER_DAY


def _over(kept: Sequence[Kept], size_bytes: int) -> list[Kept]:
    """What must go: each time the worst of the class that holds most, the oldest of equal ones."""
    groups: dict[tuple[str, ...], list[Kept]] = defaultdict(list)
    for one in kept:
        groups[one.record.names].append(one)
    for group in groups.values():  # best first, newest of equal ones first
        group.sort(key=lambda one: (one.record.score, one.record.wall_ns, one.id), reverse=True)
    sizes = {names: sum(one.size_bytes for one in group) for names, group in groups.items()}
    gone: list[Kept] = []
    while sum(sizes.values()) > size_bytes:
        largest = max(sorted(sizes), key=lambda names: sizes[names])
        worst = groups[largest].pop()
        sizes[largest] -= worst.size_bytes
        gone.append(worst)
    return gone


def _share(name: str, kept: Sequence[Kept]) -> Share:
    stamps = [one.record.wall_ns for one in kept]
    return Share(name, len(kept), sum(one.size_bytes for one in kept), min(stamps), max(stamps))
