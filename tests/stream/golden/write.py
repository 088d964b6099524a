"""Writes the golden messages of wire version 1 and the schema of its headers.

The messages are fixed: write them again only when one is added.

python -m tests.stream.golden.write
"""

import json
from pathlib import Path
from typing import Any, get_args

from pydantic.json_schema import models_json_schema

from cavs.stream.header import EventHeader, FrameHeader, Hello, MasksHeader
from cavs.stream.payload import Encoding, MaskPacker
from cavs.stream.wire import pack_event, pack_hello, pack_masks, pack_preview, unframe
from tests.one_window import sample_event, sample_event_with_thumb, sample_hello, sample_masks, sample_preview

HERE = Path(__file__).parent
SCHEMA = HERE.parents[2] / "docs" / "wire.schema.json"


def messages() -> dict[str, bytes]:
    """The samples as bytes, by file name."""
    packed = {f"masks-{name.replace('+', '-')}": pack_masks(sample_masks(), MaskPacker(name)) for name in get_args(Encoding)}
    return packed | {
        "hello": pack_hello(sample_hello()),
        "event": pack_event(sample_event()),
        "event-thumb": pack_event(sample_event_with_thumb()),
        "frame": pack_preview(sample_preview()),
    }


def expected(message: bytes) -> dict[str, Any]:
    """What any reader must find in a message: the topic, the header, and the masks as text or the payload in hex."""
    kind, stream, header, payload = unframe(message)
    found: dict[str, Any] = {"topic": f"cavs/1/{kind}/{stream}", "header": header}
    if kind == "masks":
        found["masks"] = [
            ["".join("#" if pixel else "." for pixel in row) for row in thing.mask] for thing in sample_masks().objects
        ]
    else:
        found["payload_hex"] = payload.hex()
    return found


def schema() -> dict[str, Any]:
    """JSON Schema of the four headers, under `$defs`."""
    headers = [(header, "validation") for header in (MasksHeader, Hello, EventHeader, FrameHeader)]
    _, made = models_json_schema(headers, title="cavs wire, version 1: the msgpack headers")  # type: ignore[arg-type]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def main() -> None:
    SCHEMA.write_text(json.dumps(schema(), indent=2) + "\n")
    for name, message in messages().items():
        (HERE / f"{name}.bin").write_bytes(message)
        (HERE / f"{name}.json").write_text(json.dumps(expected(message), indent=2) + "\n")


if __name__ == "__main__":
    main()
