"""What a run of cavs-stream is told, as one frozen, checked object. What it prints loads back equal."""

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cavs.runtime.engine import LEAST_HEARD
from cavs.runtime.errors import ConfigError
from cavs.runtime.store import default_store_path

DEFAULT_BIND = "tcp://127.0.0.1:5555"


class StreamSettings(BaseModel):
    """Settings of one run. Units are in the names; None means "decide from the source"."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Where sight and sound come from: a camera (with or without a microphone), one source that has both, or the demonstration.
    camera: str | None = None
    mic: str | None = None
    source: str | None = None
    demo: bool = False
    rate: Literal["realtime", "fast"] | None = None
    width_px: int | None = Field(None, ge=16, le=16384)
    height_px: int | None = Field(None, ge=16, le=16384)
    fps: float | None = Field(None, gt=0, le=1000)
    fourcc: str | None = Field(None, min_length=4, max_length=4)

    # The model: a bundle, or a store whose current version is followed while the stream runs.
    bundle: Path | None = None
    store: Path | None = None
    engine: Literal["auto", "onnx", "tensorrt", "rtx", "rtx-ort"] = "auto"
    threads: int = Field(2, ge=1, le=64)
    sound_threshold: float | None = Field(None, gt=0, lt=1)
    min_area: float = Field(0.001, ge=0, lt=1)
    least_heard: float = Field(LEAST_HEARD, ge=0, le=1)

    # Learning while it runs.
    adapt: bool = False
    control: str | None = None
    """None: beside the store if there is one; `none`: no control socket."""
    recent_seconds: float = Field(30.0, ge=1, le=600)
    recent_mib: float = Field(48.0, gt=0, le=16384)

    # Synchronisation.
    offset_ms: float | None = Field(None, ge=-2000, le=2000)
    """None: what cavs-stream calibrate stored for these devices, else 0."""
    staleness_ms: float = Field(500.0, gt=0)
    sound_wait_ms: float = Field(120.0, ge=0)

    # The wire.
    bind: str = DEFAULT_BIND
    stream: str = Field("cavs", pattern=r"^[A-Za-z0-9._-]{1,64}$")
    encoding: Literal["bits+zstd", "rle", "raw"] = "bits+zstd"
    keys: Path | None = None
    preview: bool = True

    # The run.
    seconds: float | None = Field(None, gt=0)
    windows: int | None = Field(None, ge=1)
    loops: int | None = Field(None, ge=1)
    wait_for_watcher_s: float | None = Field(None, gt=0)
    report: Path | None = None
    metrics_port: int | None = Field(None, ge=1, le=65535)
    metrics_host: str = "127.0.0.1"

    @model_validator(mode="after")
    def _one_way_in(self) -> "StreamSettings":
        ways = [name for name, given in (("--camera", self.camera), ("--source", self.source), ("--demo", self.demo)) if given]
        if len(ways) != 1:
            seen = " and ".join(ways) if ways else "none"
            raise ValueError(f"{seen} given, exactly one of --camera, --source, --demo expected; try: cavs-stream --demo")
        if self.mic not in (None, "none") and self.camera is None:
            raise ValueError("--mic goes with --camera; a --source brings its own sound")
        if self.rate is not None and self.source is None:
            raise ValueError("--realtime and --fast go with --source")
        if self.loops is not None and not self.demo:
            raise ValueError("--loops goes with --demo")
        if self.bundle is not None and self.store is not None:
            raise ValueError("--bundle and --store given, one expected: a store names its own bundle")
        if self.adapt and self.bundle is not None:
            raise ValueError(
                "--adapt learns in a store; add the bundle to one: cavs-models add BUNDLE --store DIR, then --store DIR"
            )
        if self.adapt and self.control == "none":
            raise ValueError("--adapt needs the control socket; leave out --control none")
        if self.model_store is not None and self.sound_threshold is not None:
            raise ValueError("--sound-threshold goes with --bundle; the versions of a --store bring their own")
        if self.fourcc is not None and not self.fourcc.isascii():
            raise ValueError(f"--fourcc {self.fourcc!r}: four ASCII characters expected, for example MJPG")
        return self

    @property
    def model_store(self) -> Path | None:
        """The store that is followed, if any; --adapt has one in any case."""
        return default_store_path() if self.store is None and self.adapt else self.store

    @property
    def comes_back(self) -> bool:
        """Whether a lost source is worth waiting for: a cable or a server, not a broken file."""
        return self.camera is not None or (self.source is not None and "://" in self.source)

    def to_json(self) -> str:
        """The settings as JSON that `settings_from` reads back equal."""
        return self.model_dump_json(indent=2)


def settings_from(values: dict[str, object]) -> StreamSettings:
    """Checks settings. Raises ConfigError with one line that names the setting; an unknown one lists the known ones."""
    unknown = sorted(set(values) - set(StreamSettings.model_fields))
    if unknown:
        known = ", ".join(sorted(StreamSettings.model_fields))
        raise ConfigError(f"setting {unknown[0]!r} is not known; known: {known}")
    try:
        return StreamSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        text = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"setting {where}: {text}, seen {first['input']!r}" if where else text) from None


def read_settings(path: Path) -> dict[str, object]:
    """The settings written in a JSON file. Raises ConfigError if it cannot be read or is not a JSON object."""
    try:
        values = json.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"settings file {path}: {error.strerror}; give a JSON file as --print-config writes it") from None
    except ValueError as error:
        raise ConfigError(f"settings file {path}: not JSON ({error}); write one with --print-config") from None
    if not isinstance(values, dict):
        raise ConfigError(f"settings file {path}: a JSON object expected, {type(values).__name__} seen")
    return values
