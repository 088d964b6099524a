"""Previews: the picture as it was, each sample of sound once, and no more waiting than two pictures."""

import dataclasses
import itertools

import cv2
import numpy as np
import pytest

from cavs.runtime.clock import NS_PER_S
from cavs.stream.items import Window
from cavs.stream.preview import MAX_SIDE_PX, QUEUE_WINDOWS, PreviewEncoder
from cavs.stream.wire import Preview
from tests.one_window import RATE_HZ, window


def previews(windows: list[Window]) -> list[Preview]:
    """Each window offered and compressed before the next."""
    encoder, found = PreviewEncoder("kitchen-1"), []
    for one in windows:
        encoder.offer(one, RATE_HZ)
        encoder.close()
        found += list(encoder.done())
    return found


def test_the_picture_is_the_windows_picture() -> None:
    (preview,) = previews([window(3)])
    decoded = cv2.imdecode(np.frombuffer(preview.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert (preview.stream, preview.seq, preview.t_ns) == ("kitchen-1", 3, window(3).frame.t_ns)
    assert decoded.shape == (preview.height, preview.width, 3) == (48, 64, 3)
    assert decoded[20, 30, ::-1] == pytest.approx(window(3).frame.pixels[20, 30], abs=4)


def test_a_large_picture_is_shrunk_and_keeps_its_proportions() -> None:
    (preview,) = previews([window(height=1080, width=1920)])
    assert (preview.height, preview.width) == (720, MAX_SIDE_PX)


def test_sound_is_cut_so_that_every_sample_comes_once() -> None:
    found = previews([window(seq) for seq in range(5)])
    assert [len(preview.samples) for preview in found] == [RATE_HZ] + [640] * 4
    for before, after in itertools.pairwise(found):
        assert after.first == before.first + len(before.samples)
    last = found[-1]
    tone = 0.5 * np.sin(np.arange(last.first, last.first + 640) * 0.1)
    assert last.samples / 32767 == pytest.approx(tone, abs=1e-3)


def test_after_windows_that_were_not_offered_their_sound_comes_with_the_next_as_far_as_it_reaches() -> None:
    first, later, much_later = previews([window(0), window(10), window(100)])
    assert later.first == first.first + len(first.samples)
    assert len(later.samples) == 6400
    assert len(much_later.samples) == RATE_HZ
    assert much_later.first > later.first + len(later.samples)


def late(one: Window, samples: int) -> Window:
    """A window that was cut before its last samples came."""
    sound = one.sound.copy()
    sound[len(sound) - samples :] = 0
    return dataclasses.replace(one, sound=sound, missing=samples)


def test_sound_that_came_too_late_for_its_window_comes_with_the_next() -> None:
    found = previews([window(0), late(window(1), 500), late(window(2), 1140), window(3)])
    assert [len(preview.samples) for preview in found] == [RATE_HZ, 140, 0, 1780]
    for before, after in itertools.pairwise(found):
        assert after.first == before.first + len(before.samples)
    assert np.count_nonzero(found[-1].samples) > 1700


def test_a_lost_microphone_sends_pictures_without_sound() -> None:
    found = previews([window(0), *(late(window(seq), RATE_HZ) for seq in range(1, 4))])
    assert [len(preview.samples) for preview in found] == [RATE_HZ, 0, 0, 0]


def test_sound_beyond_full_scale_is_clipped() -> None:
    loud = dataclasses.replace(window(), sound=np.full(RATE_HZ, -3.0, np.float32))
    (preview,) = previews([loud])
    assert set(preview.samples.tolist()) == {-32768}


def test_sound_numbers_are_times_on_the_streams_clock() -> None:
    (preview,) = previews([window(7)])
    end_ns = (preview.first + len(preview.samples)) * NS_PER_S // preview.rate_hz
    assert end_ns == window(7).sound_end_ns


def test_pictures_beyond_the_queue_are_dropped_and_counted_and_nobody_waits() -> None:
    encoder = PreviewEncoder("s")
    large = window(0, height=1200, width=1600)
    for _ in range(50):
        encoder.offer(large, RATE_HZ)
    encoder.close()
    made = list(encoder.done())
    assert encoder.dropped >= 1
    assert len(made) + encoder.dropped == 50
    assert len(made) >= QUEUE_WINDOWS


def test_an_error_in_the_thread_is_raised_to_whoever_asks_for_pictures() -> None:
    encoder, whole = PreviewEncoder("s"), window()
    no_picture = dataclasses.replace(whole.frame, pixels=np.zeros((0, 4, 3), np.uint8))
    encoder.offer(dataclasses.replace(whole, frame=no_picture), RATE_HZ)
    encoder.close()
    with pytest.raises((cv2.error, ValueError, ZeroDivisionError)):
        list(encoder.done())
