"""The windows of a lesson: what was heard with a frame, and a file that is read back equal or refused in one line."""

from pathlib import Path

import numpy as np
import pytest

from cavs.runtime.clock import NS_PER_S
from cavs.runtime.errors import LessonRejected
from cavs.runtime.lesson_windows import Windows, read_windows, windows_pieces

RATE_HZ = 1000


def windows(boxes: bool = False) -> Windows:
    """Three frames 0.1 s apart from second 10 on, and a ramp of sound that starts at 9.5 s."""
    return Windows(
        frames=np.arange(3 * 4 * 5 * 3, dtype=np.uint8).reshape(3, 4, 5, 3),
        t_ns=np.array([10.0, 10.1, 10.2], np.float64).dot(NS_PER_S).astype(np.int64),
        sound=np.arange(700).astype(np.float32) / np.float32(1000),
        sound_start_ns=round(9.5 * NS_PER_S),
        rate_hz=RATE_HZ,
        boxes=np.full((3, 4), 0.25, np.float32) if boxes else None,
    )


def test_the_sound_of_a_frame_ends_at_its_time() -> None:
    heard = windows().sound_of(1, samples=100)
    assert np.array_equal(heard, np.arange(500, 600, dtype=np.float32) / 1000)


def test_look_ahead_reaches_beyond_the_frame() -> None:
    heard = windows().sound_of(1, samples=100, lookahead_samples=40)
    assert np.array_equal(heard, np.arange(540, 640, dtype=np.float32) / 1000)


def test_what_the_piece_does_not_reach_is_silence() -> None:
    early = windows().sound_of(0, samples=600)
    assert np.array_equal(early, np.concatenate((np.zeros(100), np.arange(500) / 1000)).astype(np.float32))
    late = windows().sound_of(2, samples=100, lookahead_samples=50)
    assert np.array_equal(late[:50], np.arange(650, 700, dtype=np.float32) / 1000)
    assert not late[50:].any()


@pytest.mark.parametrize("boxes", [False, True])
def test_a_file_is_read_back_equal(tmp_path: Path, boxes: bool) -> None:
    made = windows(boxes)
    path = tmp_path / "windows.safetensors"
    path.write_bytes(b"".join(windows_pieces(made)))
    read = read_windows(path, rate_hz=RATE_HZ)
    assert np.array_equal(read.frames, made.frames)
    assert np.array_equal(read.t_ns, made.t_ns)
    assert np.array_equal(read.sound, made.sound)
    assert read.sound_start_ns == made.sound_start_ns
    assert (read.boxes is None) is not boxes


def test_the_file_is_the_one_that_the_library_would_write() -> None:
    """But for the order of its header: what the library reads from it is what it would have written."""
    from safetensors.numpy import load, save

    made = windows(boxes=True)
    written = load(b"".join(windows_pieces(made)))
    again = load(save(written))
    assert set(written) == set(again) == {"frames", "t_ns", "sound", "sound_start_ns", "boxes"}
    assert all(written[name].dtype == tensor.dtype and np.array_equal(written[name], tensor) for name, tensor in again.items())


def test_no_piece_holds_up_the_interpreter() -> None:
    """A frame or the sound is the largest piece: the live loop waits for no more than a copy of that."""
    made = windows()
    assert max(len(piece) for piece in windows_pieces(made)) <= max(made.frames[0].nbytes, made.sound.nbytes, 512)


@pytest.mark.parametrize("keep", [0, 5, 300])
def test_a_torn_file_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "windows.safetensors"
    path.write_bytes(b"".join(windows_pieces(windows()))[:keep])
    with pytest.raises(LessonRejected, match="torn or edited"):
        read_windows(path, rate_hz=RATE_HZ)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LessonRejected, match="a lesson with windows was expected"):
        read_windows(tmp_path / "windows.safetensors", rate_hz=RATE_HZ)


def test_a_file_of_other_tensors_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save

    path = tmp_path / "windows.safetensors"
    path.write_bytes(save({"frames": np.zeros(3, np.uint8), "sound_start_ns": np.zeros(1, np.int64)}))
    with pytest.raises(LessonRejected, match="of another version"):
        read_windows(path, rate_hz=RATE_HZ)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"frames": np.zeros((0, 4, 5, 3), np.uint8), "t_ns": np.zeros(0, np.int64)}, "one at least"),
        ({"t_ns": np.array([1, 3, 2], np.int64)}, "and grow"),
        ({"sound": np.array([np.nan], np.float32)}, "finite"),
        ({"boxes": np.zeros((2, 4), np.float32)}, "boxes must be float32"),
        ({"rate_hz": 0}, "rate_hz must be above 0"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(change: dict[str, object], says: str) -> None:
    good = windows()
    fields = {name: getattr(good, name) for name in ("frames", "t_ns", "sound", "sound_start_ns", "rate_hz", "boxes")}
    with pytest.raises(ValueError, match=says):
        Windows(**{**fields, **change})
