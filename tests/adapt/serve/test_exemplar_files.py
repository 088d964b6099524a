"""Exemplars on disk: what was kept is what is read, and what is damaged is named."""

from pathlib import Path

import numpy as np
import pytest

from cavs.adapt.serve.exemplar_files import FRAME_FILE, RECORD_FILE, SOUND_FILE, ExemplarFolder, read_exemplar
from cavs.runtime.bundle import Bundle
from cavs.runtime.errors import DataRejected
from tests.lessons import shown

RATE_HZ = 16_000


@pytest.fixture
def folder(tmp_path: Path, tiny_bundle: Bundle) -> ExemplarFolder:
    folder = ExemplarFolder(tmp_path / "memory")
    for one in shown(tiny_bundle, "yellow", (1, 1, 0), count=3):
        folder.add(one, RATE_HZ)
    return folder


def test_what_was_kept_is_what_is_read(folder: ExemplarFolder, tiny_bundle: Bundle) -> None:
    given = {one.frame.tobytes(): one for one in shown(tiny_bundle, "yellow", (1, 1, 0), count=3)}
    read = [read_exemplar(kept) for kept in folder.kept()]
    assert len(read) == 3
    for one in read:
        nearest = min(given.values(), key=lambda other: float(np.abs(other.frame.astype(int) - one.frame).mean()))
        assert float(np.abs(nearest.frame.astype(int) - one.frame).mean()) < 4  # a JPEG
        assert np.abs(nearest.sound - one.sound).max() < 1e-4  # 16 bit
        assert np.array_equal(nearest.marks[0][1], one.marks[0][1])
        assert (one.names, one.source, one.wall_ns, one.score) == (("yellow",), "shown", nearest.wall_ns, 1.0)


def test_the_same_exemplar_is_kept_once(folder: ExemplarFolder, tiny_bundle: Bundle) -> None:
    folder.add(shown(tiny_bundle, "yellow", (1, 1, 0), count=3)[0], RATE_HZ)
    assert len(folder.kept()) == 3


def test_another_folder_takes_a_copy_byte_by_byte(folder: ExemplarFolder, tmp_path: Path) -> None:
    other = ExemplarFolder(tmp_path / "anchors")
    for kept in (folder.kept()[0], folder.kept()[0]):
        other.adopt(kept)
    (copy,) = other.kept()
    assert copy.id == folder.kept()[0].id
    assert (copy.path / SOUND_FILE).read_bytes() == (folder.kept()[0].path / SOUND_FILE).read_bytes()


@pytest.mark.parametrize("name", [FRAME_FILE, SOUND_FILE, "mark-0.png"])
@pytest.mark.parametrize("content", [b"", b"nothing of the kind"])
def test_a_damaged_file_is_one_line_that_names_it(folder: ExemplarFolder, name: str, content: bytes) -> None:
    kept = folder.kept()[0]
    (kept.path / name).write_bytes(content)
    with pytest.raises(DataRejected, match=f"{kept.id}/{name}: .*remove this exemplar"):
        read_exemplar(kept)


def test_a_damaged_record_is_left_out_and_named(folder: ExemplarFolder) -> None:
    gone = folder.kept()[1]
    (gone.path / RECORD_FILE).write_text("{}")
    assert len(folder.kept()) == 2
    assert folder.damaged[0].startswith(str(gone.path))


def test_what_a_killed_writer_left_is_swept(folder: ExemplarFolder) -> None:
    (folder.path / ".writing-abc").mkdir()
    folder.sweep()
    assert len(list(folder.path.iterdir())) == 3
