"""The measured offsets between cameras and microphones, remembered per pair in the user's configuration."""

import json
import os
from datetime import datetime, timezone
from pathlib import Path

from cavs.runtime.errors import ConfigError
from cavs.stream.camera_device import device_path
from cavs.stream.claps import Measured


def offsets_file() -> Path:
    """`$XDG_CONFIG_HOME/cavs/offsets.json`, by default below ~/.config."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "cavs" / "offsets.json"


def stored_offset_ms(camera: str, microphone: str | None, file: Path | None = None) -> float | None:
    """The offset of this pair, named as for --camera and --mic; None if it was never measured."""
    entry = _read(file or offsets_file()).get(_key(camera, microphone))
    value = entry.get("offset_ms") if isinstance(entry, dict) else None
    return float(value) if isinstance(value, int | float) else None


def store_offset(camera: str, microphone: str | None, measured: Measured, file: Path | None = None) -> Path:
    """Remembers it; gives the file. Raises ConfigError if that cannot be written."""
    file = file or offsets_file()
    offsets = _read(file)
    offsets[_key(camera, microphone)] = {
        "offset_ms": round(measured.offset_ms, 2),
        "spread_ms": round(measured.spread_ms, 2),
        "claps": measured.claps,
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    staged = file.with_name(f".{file.name}.writing")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        staged.write_text(json.dumps(offsets, indent=2) + "\n")
        staged.replace(file)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; use the flag --offset-ms instead") from None
    return file


def _key(camera: str, microphone: str | None) -> str:
    return f"camera {device_path(camera)}, microphone {microphone or 'default'}"


def _read(file: Path) -> dict[str, object]:
    try:
        offsets = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: cannot be read ({error}); correct or remove it") from None
    if not isinstance(offsets, dict):
        raise ConfigError(f"{file}: a JSON object expected, {type(offsets).__name__} seen; correct or remove it")
    return offsets
