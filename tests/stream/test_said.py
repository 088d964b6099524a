"""Events of other threads: bounded, in order, a few at a time."""

from cavs.stream.items import SourceEvent
from cavs.stream.said import TAKEN_PER_ROUND, WAITING_MAX, Said


def event(number: int) -> SourceEvent:
    return SourceEvent("warning", "test", str(number), number)


def test_events_are_taken_in_order_a_few_at_a_time() -> None:
    said = Said()
    for number in range(TAKEN_PER_ROUND + 3):
        assert said.say(event(number))
    assert [one.t_ns for one in said.take()] == list(range(TAKEN_PER_ROUND))
    assert [one.t_ns for one in said.take()] == [TAKEN_PER_ROUND, TAKEN_PER_ROUND + 1, TAKEN_PER_ROUND + 2]
    assert said.take() == []


def test_who_says_too_much_is_refused_and_counted() -> None:
    said = Said()
    answers = [said.say(event(number)) for number in range(WAITING_MAX + 5)]
    assert answers == [True] * WAITING_MAX + [False] * 5
    assert said.refused == 5
