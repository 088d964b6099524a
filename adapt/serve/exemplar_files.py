"""Exemplars on disk: a directory each, in files that any picture viewer and sound player opens.

frame.jpg      the picture
sound.flac     the window of sound that ends with it, 16 bit
mark-<k>.png   the pixels of class k of `names`, white
exemplar.json  the rest (`ExemplarRecord`), written last

Its name is made of its content, so keeping the same exemplar twice keeps it once.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
import numpy.typing as npt
import soundfile
from pydantic import Field, ValidationError

from cavs.adapt.learn.exemplar import Exemplar
from cavs.runtime.disk import Disk
from cavs.runtime.errors import DataRejected
from cavs.runtime.manifest import Count, Record, to_json, what_is_wrong

RECORD_FILE, FRAME_FILE, SOUND_FILE = "exemplar.json", "frame.jpg", "sound.flac"
JPEG_QUALITY = 95
STAGED = ".writing-"
ID_CHARS = 20
"""Hex digits of a name: 80 bits tell all exemplars of a robot apart."""


class ExemplarRecord(Record):
    """`exemplar.json`. names: the classes that sound in it, in the order of its mark files."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    source: str
    wall_ns: Count
    score: Annotated[float, Field(ge=0, le=1)]
    names: tuple[Annotated[str, Field(min_length=1, max_length=80)], ...]
    rate_hz: Annotated[int, Field(gt=0)]
    height_px: Annotated[int, Field(gt=0)]
    width_px: Annotated[int, Field(gt=0)]
    samples: Annotated[int, Field(gt=0)]


@dataclass(frozen=True, slots=True)
class Kept:
    """An exemplar that lies on the disk: what it says of itself, and its bytes."""

    id: str
    path: Path
    record: ExemplarRecord
    size_bytes: int


class ExemplarFolder:
    """A directory of exemplars. One writer; what appears is whole."""

    def __init__(self, path: Path, *, disk: Disk | None = None) -> None:
        self.path = path
        self._disk = disk or Disk()
        self.damaged: tuple[str, ...] = ()
        """What the last `kept` could not read, a line each."""

    def kept(self) -> tuple[Kept, ...]:
        """All exemplars, oldest first; a damaged one is left out and named in `damaged`."""
        found, damaged = [], []
        for home in sorted(self.path.iterdir()) if self.path.is_dir() else ():
            if home.name.startswith("."):
                continue
            try:
                record = ExemplarRecord.model_validate_json((home / RECORD_FILE).read_bytes())
                size = sum(file.stat().st_size for file in home.iterdir())
            except OSError as error:
                damaged.append(f"{home}: {error.strerror}")
            except ValidationError as error:
                damaged.append(f"{home / RECORD_FILE}: {what_is_wrong(error)}")
            else:
                found.append(Kept(home.name, home, record, size))
        self.damaged = tuple(damaged)
        return tuple(sorted(found, key=lambda one: (one.record.wall_ns, one.id)))

    def add(self, exemplar: Exemplar, rate_hz: int) -> str:
        """Keeps one; its id. Raises OSError if the disk refuses; nothing is left then."""
        files = _encoded(exemplar, rate_hz)
        number = _id_of(files)
        home = self.path / number
        if home.is_dir():
            return number
        staged = self.path / f"{STAGED}{number}"
        try:
            self._disk.make_directory(staged)
            for name, content in files.items():
                self._disk.write(staged / name, content)
            self._disk.sync_directory(staged)
            self._disk.rename(staged, home)
            self._disk.sync_directory(self.path)
        except OSError:
            self._disk.remove(staged)
            raise
        return number

    def adopt(self, kept: Kept) -> None:
        """Takes a copy of an exemplar of another folder. Raises OSError if the disk refuses; nothing is left then."""
        home, staged = self.path / kept.id, self.path / f"{STAGED}{kept.id}"
        if home.is_dir():
            return
        try:
            self._disk.make_directory(staged)
            for file in sorted(kept.path.iterdir()):
                self._disk.copy(file, staged / file.name)
            self._disk.sync_directory(staged)
            self._disk.rename(staged, home)
            self._disk.sync_directory(self.path)
        except OSError:
            self._disk.remove(staged)
            raise

    def remove(self, number: str) -> None:
        """Removes one; nothing if it is not there. It vanishes whole."""
        home, trash = self.path / number, self.path / f"{STAGED}gone-{number}"
        if home.is_dir():
            self._disk.rename(home, trash)
        self._disk.remove(trash)

    def sweep(self) -> None:
        """Removes what a killed writer left. For the one writer, before it writes."""
        for torn in self.path.glob(f"{STAGED}*") if self.path.is_dir() else ():
            self._disk.remove(torn)


def read_exemplar(kept: Kept) -> Exemplar:
    """Decodes one. Raises DataRejected, naming the file, for one that is torn or edited."""
    record = kept.record
    frame = _picture(kept.path / FRAME_FILE, cv2.IMREAD_COLOR)
    marks = tuple(
        (name, _picture(kept.path / f"mark-{k}.png", cv2.IMREAD_GRAYSCALE) > 127) for k, name in enumerate(record.names)
    )
    sound = _sound(kept.path / SOUND_FILE, record)
    for what, picture in (("frame", frame), *((f"mark of {name}", mark) for name, mark in marks)):
        if picture.shape[:2] != (record.height_px, record.width_px):
            raise DataRejected(f"{kept.path}: its {what} is {picture.shape}, {record.height_px}x{record.width_px} expected")
    rgb = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
    return Exemplar(rgb, sound, marks, record.source, record.wall_ns, record.score)


def _picture(path: Path, mode: int) -> npt.NDArray[np.uint8]:
    data = _bytes_of(path)
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), mode) if data else None
    if picture is None:
        raise DataRejected(f"{path}: {len(data)} bytes that are no picture; remove this exemplar")
    return np.asarray(picture, np.uint8)


def _sound(path: Path, record: ExemplarRecord) -> npt.NDArray[np.float32]:
    try:
        sound, rate_hz = soundfile.read(io.BytesIO(_bytes_of(path)), dtype="float32")
    except RuntimeError as error:  # libsndfile's own error is one
        raise DataRejected(f"{path}: no sound can be read from it ({error}); remove this exemplar") from None
    if sound.shape != (record.samples,) or rate_hz != record.rate_hz:
        raise DataRejected(f"{path}: {sound.shape} samples at {rate_hz} Hz, ({record.samples},) at {record.rate_hz} expected")
    return np.asarray(sound, np.float32)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataRejected(f"{path}: {error.strerror}; remove this exemplar") from None


def _encoded(exemplar: Exemplar, rate_hz: int) -> dict[str, bytes]:
    """The files by name, the record last."""
    height, width = exemplar.frame.shape[:2]
    jpeg = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    files = {FRAME_FILE: cv2.imencode(".jpg", cv2.cvtColor(exemplar.frame, cv2.COLOR_RGB2BGR), jpeg)[1].tobytes()}
    sound = io.BytesIO()
    soundfile.write(sound, np.clip(exemplar.sound, -1, 1), rate_hz, format="FLAC", subtype="PCM_16")
    files[SOUND_FILE] = sound.getvalue()
    for k, (_, mark) in enumerate(exemplar.marks):
        files[f"mark-{k}.png"] = cv2.imencode(".png", mark.astype(np.uint8) * 255)[1].tobytes()
    record = ExemplarRecord(
        source=exemplar.source,
        wall_ns=exemplar.wall_ns,
        score=float(np.clip(exemplar.score, 0, 1)),
        names=exemplar.names,
        rate_hz=rate_hz,
        height_px=height,
        width_px=width,
        samples=len(exemplar.sound),
    )
    files[RECORD_FILE] = to_json(record)
    return files


def _id_of(files: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:ID_CHARS]
