"""The order of decoding: sound first, bounded, whatever the order of the file."""

import av
import pytest

from cavs.runtime.clock import NS_PER_S
from cavs.stream.packets import HOLD_BYTES, HOLD_NS, PacketOrder, Waiting


def waiting(t_s: float, picture: bool, size: int = 10) -> Waiting:
    return Waiting(round(t_s * NS_PER_S), av.Packet(size), picture)


def drained(order: PacketOrder, sound_length_s: float = 0.1) -> list[tuple[str, float]]:
    """Takes what may be decoded now, as a decoder would."""
    taken: list[tuple[str, float]] = []
    end_ns: int | None = None
    while (next_one := order.take(end_ns)) is not None:
        if not next_one.picture:
            end_ns = next_one.media_ns + round(sound_length_s * NS_PER_S)
        taken.append(("picture" if next_one.picture else "sound", next_one.media_ns / NS_PER_S))
    return taken


def test_a_picture_waits_for_the_sound_around_it() -> None:
    order = PacketOrder(sound=True)
    order.add(waiting(0.0, True))
    assert drained(order) == []
    for k in range(5):
        order.add(waiting(k / 10, False))
    assert drained(order) == [("sound", k / 10) for k in range(5)] + [("picture", 0.0)]


def test_sound_is_not_decoded_further_ahead_than_needed() -> None:
    order = PacketOrder(sound=True)
    for k in range(50):
        order.add(waiting(k / 10, False))
    order.add(waiting(0.0, True))
    taken = drained(order)
    assert taken[-1] == ("picture", 0.0)
    assert len(taken) == 6


def test_a_file_with_its_sound_after_its_picture_comes_out_in_order() -> None:
    order = PacketOrder(sound=True)
    for k in range(20):
        order.add(waiting(k / 10, True))
    for k in range(20):
        order.add(waiting(k / 10, False))
    order.at_end = True
    taken = drained(order)
    assert sorted(t for kind, t in taken if kind == "picture") == [t for kind, t in taken if kind == "picture"]
    assert len(taken) == 40
    sound_end = 0.0
    for kind, t in taken:
        if kind == "sound":
            sound_end = t + 0.1
        else:
            assert sound_end >= min(t + 0.5, 2.0) - 1e-6


@pytest.mark.parametrize("picture", [True, False])
def test_what_never_comes_is_not_waited_for_beyond_ten_seconds(picture: bool) -> None:
    order = PacketOrder(sound=True)
    order.add(waiting(0.0, picture))
    order.add(waiting(HOLD_NS / NS_PER_S - 0.1, picture))
    assert drained(order) == []
    order.add(waiting(HOLD_NS / NS_PER_S, picture))
    assert [t for _, t in drained(order)] == [0.0]


def test_what_never_comes_is_not_waited_for_beyond_the_memory() -> None:
    order = PacketOrder(sound=True)
    order.add(waiting(0.0, True, HOLD_BYTES))
    assert len(drained(order)) == 1


def test_without_a_sound_track_nothing_waits() -> None:
    order = PacketOrder(sound=False)
    order.add(waiting(0.0, True))
    assert drained(order) == [("picture", 0.0)]


def test_live_packets_are_decoded_as_they_come() -> None:
    order = PacketOrder(sound=True, lead_ns=0)
    order.add(waiting(5.0, True))
    assert drained(order) == [("picture", 5.0)]
    order.add(waiting(1.0, False))
    assert drained(order) == [("sound", 1.0)]
