"""What the messages of a run say about its windows: overhead and stages by our own stamps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.processes import Received
from benchmarks.quantiles import percentile
from benchmarks.result import Value
from cavs.runtime.clock import NS_PER_MS
from cavs.stream.masks import Masks
from cavs.stream.wire import unpack

MASKS_TOPIC = b"cavs/1/masks/"


@dataclass(frozen=True, slots=True)
class Times:
    """One window, ms. end_to_end: from the exposure to the message handed over. on_wire: from there to a subscriber."""

    end_to_end: float
    infer: float
    align: float
    publish: float
    on_wire: float

    @property
    def overhead(self) -> float:
        """Everything but the engine."""
        return self.end_to_end - self.infer


def masks_of(messages: Iterable[Received]) -> list[tuple[Masks, int]]:
    """The masks among the messages, each with when it came."""
    found = []
    for message in messages:
        unpacked = unpack(message.parts[0])
        if isinstance(unpacked, Masks):
            found.append((unpacked, message.t_ns))
    return found


def times_of(masks: Sequence[tuple[Masks, int]], warm_up: int) -> list[Times]:
    """A message cannot hold how long it took to publish itself: the next one does, so the last window is left out."""
    times = []
    for (window, came_ns), (following, _) in zip(masks[warm_up:-1], masks[warm_up + 1 :], strict=True):
        if following.seq != window.seq + 1:
            continue
        stage = window.latency_ms
        publish = following.latency_ms["publish"]
        times.append(
            Times(
                end_to_end=stage["end_to_end"] + publish,
                infer=stage["infer"],
                align=stage["align"],
                publish=publish,
                on_wire=(came_ns - window.sent_ns) / NS_PER_MS,
            )
        )
    return times


def arm_of(times: Sequence[Times]) -> dict[str, Value]:
    """p50 and p99 by stage."""
    stages: dict[str, list[float]] = {
        "overhead": [time.overhead for time in times],
        "align": [time.align for time in times],
        "engine": [time.infer for time in times],
        "publish": [time.publish for time in times],
        "end_to_end": [time.end_to_end for time in times],
        "to_subscriber": [time.on_wire for time in times],
    }
    numbers: dict[str, Value] = {"windows": len(times)}
    for name, values in stages.items():
        numbers[f"{name}_p50_ms"] = percentile(values, 50)
        numbers[f"{name}_p99_ms"] = percentile(values, 99)
    return numbers
