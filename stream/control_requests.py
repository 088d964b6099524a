"""What a stream can be asked over its control socket: one frozen, checked object for each `do`. docs/wire.md, Control."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cavs.runtime.errors import ControlRefused
from cavs.runtime.lesson import LessonId
from cavs.runtime.manifest import what_is_wrong
from cavs.stream.header import MAX_NAME, MAX_TEXT

THUMB_BYTES_MAX = 256 << 10
SECONDS_MAX = 3600.0

Seconds = Annotated[float, Field(gt=0, le=SECONDS_MAX)]
Place = Annotated[tuple[float, float, float, float], Field(strict=False)]
Point = Annotated[tuple[float, float], Field(strict=False)]
Unit = Literal["px", "fraction"]


class _Request(BaseModel):
    # strict: "1" is no number. Tuples are the exception, because msgpack has only lists.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class _Hinted(_Request):
    """box, point: pixels of the source picture, or with unit `fraction` parts of its width and height."""

    box: Place | None = None
    point: Point | None = None
    unit: Unit = "px"
    object: Annotated[int, Field(ge=0)] | None = None
    yes: bool = False


class Teach(_Hinted):
    """mask: a PNG; white where the thing is."""

    name: str
    seconds: Seconds = 10.0
    mask: bytes | None = None

    @model_validator(mode="after")
    def _one_hint(self) -> "Teach":
        _one_of(self, ("box", "point", "mask", "object"))
        return self


class Correct(_Hinted):
    """name None with sounding: it is a thing of no known class."""

    name: str | None = None
    sounding: bool = True
    seconds: Seconds = 3.0

    @model_validator(mode="after")
    def _one_meaning(self) -> "Correct":
        _one_of(self, ("box", "point", "object"))
        if not self.sounding and self.name is not None:
            raise ValueError("name goes with sounding true: what does not sound has no name")
        return self


class Lesson(_Request):
    """preview: whether the picture of the proposal is wanted."""

    lesson: LessonId
    preview: bool = False


class Decide(_Request):
    lesson: LessonId
    accept: bool
    by: Annotated[str, Field(max_length=MAX_NAME)] = ""


class RecentWindows(_Request):
    seconds: Seconds
    most: Annotated[int, Field(ge=1, le=4096)] = 64


class Say(_Request):
    kind: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    subject: Annotated[str, Field(max_length=MAX_NAME)]
    text: Annotated[str, Field(max_length=MAX_TEXT)] = ""
    thumb: Annotated[bytes, Field(max_length=THUMB_BYTES_MAX)] = b""


class Status(_Request):
    pass


class Rollback(_Request):
    pass


Request = Teach | Correct | Lesson | Decide | RecentWindows | Say | Status | Rollback
REQUESTS: dict[str, type[Request]] = {
    "teach": Teach,
    "correct": Correct,
    "lesson": Lesson,
    "decide": Decide,
    "recent": RecentWindows,
    "say": Say,
    "status": Status,
    "rollback": Rollback,
}
_RequestT = TypeVar("_RequestT", bound=_Request)


def read_request(fields: dict[str, Any]) -> Request:
    """Checks a request. Raises ControlRefused with one line."""
    do = fields.get("do")
    kind = REQUESTS.get(do) if isinstance(do, str) else None
    if kind is None:
        raise ControlRefused(f"do {str(do)[:40]!r}: one of {', '.join(REQUESTS)} expected")
    try:
        return kind.model_validate({name: value for name, value in fields.items() if name != "do"})
    except ValidationError as error:
        raise ControlRefused(f"{do}: {what_is_wrong(error).removeprefix('the text: Value error, ')}") from None


def _one_of(request: _Request, names: tuple[str, ...]) -> None:
    given = [name for name in names if getattr(request, name) is not None]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} given, one expected")
