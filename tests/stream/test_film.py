"""Films: pictures and sound at their times, odd sizes, and a file that plays whatever ended it."""

import contextlib
import resource
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from cavs.stream.film import Film, FilmError

RATE_HZ = 16_000
FRAME_NS = 40_000_000
START_NS = 77_000_000_000
SAMPLES = RATE_HZ // 25


def noisy(seed: int, height: int = 48, width: int = 64) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3)).astype(np.uint8)


def tone(first: int, count: int = SAMPLES) -> npt.NDArray[np.int16]:
    return (12_000 * np.sin(np.arange(first, first + count) * 2 * np.pi * 400 / RATE_HZ)).astype(np.int16)


def add(film: Film, k: int, picture: npt.NDArray[np.uint8], *, sound: bool = True) -> None:
    """Picture k with the sound before it."""
    t_ns = START_NS + k * FRAME_NS
    first = t_ns * RATE_HZ // 1_000_000_000 - SAMPLES
    film.add(picture, t_ns, tone(first) if sound else tone(first, 0), rate_hz=RATE_HZ, first=first)


def add_many(film: Film, count: int) -> None:
    for k in range(count):
        add(film, k, noisy(k, 96, 128))


def pictures_that_play(path: Path) -> list[av.VideoFrame]:
    """Those before the place where a damaged file breaks off."""
    played = []
    with av.open(str(path)) as file, contextlib.suppress(av.FFmpegError):
        for frame in file.decode(video=0):
            played.append(frame)
    return played


def read(path: Path) -> tuple[list[float], npt.NDArray[np.float32], tuple[int, int]]:
    """Times of the pictures in seconds, all sound, and height and width."""
    with av.open(str(path)) as file:
        frames = list(file.decode(video=0))
    with av.open(str(path)) as file:
        sound = [frame.to_ndarray()[0] for frame in file.decode(audio=0)]
    return [float(frame.time) for frame in frames], np.concatenate(sound), (frames[0].height, frames[0].width)


@contextlib.contextmanager
def files_no_larger_than(limit_bytes: int) -> Iterator[None]:
    """What a full disk does to a writer: writing fails from there on."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_pictures_keep_their_times_and_the_sound_its_length(suffix: str, tmp_path: Path) -> None:
    film = Film(tmp_path / f"o{suffix}")
    for k in (0, 1, 2, 5, 6, 20, 24, 25):  # a camera is not regular
        add(film, k, noisy(k))
    film.close()
    times, sound, size = read(film.path)
    assert times == pytest.approx([k * FRAME_NS / 1e9 for k in (0, 1, 2, 5, 6, 20, 24, 25)], abs=0.002)
    assert len(sound) / RATE_HZ == pytest.approx(1.0, abs=0.13)
    assert (film.pictures, size) == (8, (48, 64))


def test_sound_stands_where_it_was_heard(tmp_path: Path) -> None:
    film = Film(tmp_path / "o.mp4")
    for k in range(50):
        t_ns = START_NS + k * FRAME_NS
        first = t_ns * RATE_HZ // 1_000_000_000 - SAMPLES
        loud = tone(first) * np.int16(25 <= k - 1 < 35)
        film.add(noisy(k), t_ns, loud, rate_hz=RATE_HZ, first=first)
    film.close()
    _, sound, _ = read(film.path)
    heard = np.flatnonzero(np.abs(sound) > 0.1) / RATE_HZ
    assert (heard[0], heard[-1]) == pytest.approx((1.0, 1.4), abs=0.015)


def test_sound_that_never_came_is_silence_and_what_comes_twice_is_taken_once(tmp_path: Path) -> None:
    film = Film(tmp_path / "o.mp4")
    for k in range(26):
        add(film, k, noisy(k), sound=not 5 <= k < 10)
        add(film, k, noisy(k), sound=not 5 <= k < 10)
    film.close()
    times, sound, _ = read(film.path)
    assert len(times) == 26
    assert len(sound) / RATE_HZ == pytest.approx(1.0, abs=0.13)
    assert np.abs(sound[int(0.22 * RATE_HZ) : int(0.34 * RATE_HZ)]).max() < 0.02


def test_a_picture_of_odd_sides_loses_a_line_and_one_of_another_size_is_scaled(tmp_path: Path) -> None:
    film = Film(tmp_path / "o.mp4")
    for k, size in enumerate([(49, 65), (49, 65), (90, 120)]):
        add(film, k, noisy(k, *size))
    film.close()
    times, _, size = read(film.path)
    assert (len(times), size) == (3, (48, 64))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_full_disk_is_one_line_and_what_was_written_plays(suffix: str, tmp_path: Path) -> None:
    film = Film(tmp_path / f"o{suffix}")
    with files_no_larger_than(400_000), pytest.raises(FilmError, match=r"file too large after \d+ pictures; what was written"):
        add_many(film, 1000)
    film.close()
    assert len(pictures_that_play(film.path)) >= 15


def test_a_film_that_was_never_closed_plays(tmp_path: Path) -> None:
    film = Film(tmp_path / "o.mp4")
    for k in range(120):
        add(film, k, noisy(k))
    shutil.copy(film.path, tmp_path / "killed.mp4")
    film.close()
    times, sound, _ = read(tmp_path / "killed.mp4")
    assert len(times) >= 60
    assert len(sound) >= 2 * RATE_HZ


@pytest.mark.parametrize("name", ["o.avi", "o", "o.gif"])
def test_a_format_that_is_not_written_is_refused_with_those_that_are(name: str, tmp_path: Path) -> None:
    with pytest.raises(FilmError, match=r"use one of \.mp4, \.mov, \.mkv"):
        Film(tmp_path / name)


def test_a_file_that_cannot_be_written_is_one_line_before_the_first_picture(tmp_path: Path) -> None:
    with pytest.raises(FilmError, match="cannot be written: no such file or directory"):
        Film(tmp_path / "nowhere" / "o.mp4")


def test_closing_without_a_picture_and_closing_twice_is_fine(tmp_path: Path) -> None:
    film = Film(tmp_path / "o.mp4")
    film.close()
    film.close()
    with pytest.raises(ValueError, match="is closed"):
        add(film, 0, noisy(0))
