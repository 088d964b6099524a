"""Messages of a stream as the learner hears them."""

from cavs.adapt.serve.listening import HeardEvent, HeardMasks, HeardModel, HeardObject, HeardSound
from cavs.runtime.clock import NS_PER_MS

GRID = (100, 100)


def masks(
    seq: int,
    *,
    version: int | None = 2,
    area: int = 400,
    infer_ms: float = 10.0,
    missing: bool = False,
    row: int | None = 0,
    number: int = 7,
    fps: float = 10.0,
) -> HeardMasks:
    """A window with one object of `area` pixels of a grid of 100 x 100, or with none."""
    cls = "unknown" if row is None else "red"
    thing = HeardObject(id=number, row=row, cls=cls, score=0.9, box=(10, 20, 30, 40), area=area)
    return HeardMasks(
        stream="s",
        seq=seq,
        t_ns=round(seq * 1000 / fps) * NS_PER_MS,
        size=GRID,
        sound=HeardSound(start_ns=0, end_ns=1, missing=1600 if missing else 0),
        model=HeardModel(version=version),
        objects=[thing] if area else [],
        latency_ms={"infer": infer_ms},
        flags=["audio_missing"] if missing else [],
    )


def model_event(subject: str, text: str) -> HeardEvent:
    """What the slot says of an exchange."""
    return HeardEvent(stream="s", kind="model", subject=subject, text=text)
