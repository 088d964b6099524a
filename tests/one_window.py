"""Windows, predictions and messages made by hand, for whatever is tested behind the engine."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from cavs.runtime.clock import NS_PER_S
from cavs.runtime.engine import Prediction
from cavs.stream.header import ClassPart, Hello, ModelPart, SoundFormat
from cavs.stream.items import StampGrade, VideoFrame, Window
from cavs.stream.masks import HeardClass, Masks, ModelStamp, SoundingObject
from cavs.stream.wire import Event, Preview

RATE_HZ = 16_000
SOUND = SoundFormat(rate_hz=RATE_HZ, samples=RATE_HZ)
MODEL = ModelStamp(bundle="5f3a" * 16, adapter="kitchen", digest="9c1e" * 16, engine="onnx", version=3)
CLASSES = {0: "dog", 1: "kettle"}


def pixels(*rows: str) -> npt.NDArray[np.uint8]:
    """A small label map written as text: a dot is silent, a digit is a label."""
    return np.array([[0 if letter == "." else int(letter) for letter in row] for row in rows], np.uint8)


def prediction(labels: npt.NDArray[np.uint8], *, confidence: int = 204, presence: Sequence[float] = (0.9, 0.2)) -> Prediction:
    """The prediction with these labels, all with one confidence."""
    return Prediction(labels, np.where(labels > 0, confidence, 20).astype(np.uint8), np.array(presence, np.float32))


def disc(labels: npt.NDArray[np.uint8], centre: tuple[int, int], radius: int, label: int) -> npt.NDArray[np.uint8]:
    """Draws a disc into a label map; centre is x, y."""
    cv2.circle(labels, centre, radius, label, cv2.FILLED)
    return labels


def window(seq: int = 0, *, t_ns: int | None = None, height: int = 48, width: int = 64) -> Window:
    """A window with a plain picture and one second of a tone that runs on from window to window."""
    end_ns = NS_PER_S + seq * 40_000_000 if t_ns is None else t_ns
    end = end_ns * RATE_HZ // NS_PER_S
    tone = (0.5 * np.sin(np.arange(end - RATE_HZ, end) * 0.1)).astype(np.float32)
    picture = np.full((height, width, 3), (40, 80, 160), np.uint8)
    frame = VideoFrame(picture, end_ns, seq, StampGrade.B)
    return Window(frame, tone, seq, end_ns - NS_PER_S, end_ns, 0, 250_000, StampGrade.A, frozenset({"audio_partial"}))


def thing(number: int, labels: npt.NDArray[np.uint8], label: int, cls: str, score: float = 0.75) -> SoundingObject:
    """An object of all pixels with one label."""
    mask = labels == label
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    row = label - 2 if label > 1 else None
    return SoundingObject(number, row, cls, score, (x, y, width, height), int(mask.sum()), lambda: mask)


def sample_masks() -> Masks:
    """Two objects on a grid whose size is no multiple of eight."""
    labels = pixels(
        ".........",
        ".222...1.",
        ".2222.11.",
        "..222....",
        ".........",
    )
    return Masks(
        stream="kitchen-1",
        seq=41,
        t_ns=5_000_000_000,
        sent_ns=5_023_000_000,
        height=5,
        width=9,
        source_height=480,
        source_width=640,
        sound_start_ns=3_000_000_000,
        sound_end_ns=5_000_000_000,
        model=MODEL,
        objects=(thing(7, labels, 2, "dog", 0.875), thing(9, labels, 1, "unknown", 0.5)),
        heard=(HeardClass(0, "dog", 0.9375), HeardClass(1, "kettle", 0.25)),
        sound_missing=160,
        skew_ns=250_000,
        grade=StampGrade.B,
        sound_grade=StampGrade.A,
        counters={"windows_formed": 41, "frames_stale": 2},
        latency_ms={"capture": 4.5, "infer": 16.25, "end_to_end": 22.75},
        flags=frozenset({"audio_partial"}),
    )


def sample_hello() -> Hello:
    return Hello(
        stream="kitchen-1",
        t_ns=5_000_000_000,
        software="cavs-stream 0.1.0",
        boot_id="0b6c8f9e-5a33-4d2a-9d0f-4f7f5a6f9a11",
        model=ModelPart(
            bundle=MODEL.bundle, adapter=MODEL.adapter, digest=MODEL.digest, engine=MODEL.engine, version=MODEL.version
        ),
        classes=[ClassPart(row=row, cls=name) for row, name in CLASSES.items()],
        size=(5, 9),
        source=(480, 640),
        fps=29.5,
        sound=SoundFormat(rate_hz=16_000, samples=32_000, lookahead_samples=320),
        encoding="bits+zstd",
        preview=True,
        health={"rss_mib": 180.5, "windows": 41},
    )


def sample_event_with_thumb() -> Event:
    """Four bytes stand for the JPEG."""
    return Event("kitchen-1", 5_000_000_000, "unknown", "object 12", "what is this?", thumb=b"\xff\xd8\xff\xd9")


def sample_event() -> Event:
    return Event(stream="kitchen-1", t_ns=5_000_000_000, kind="lost", subject="camera 0", text="no frame for 1000 ms")


def sample_preview() -> Preview:
    jpeg = cv2.imencode(".jpg", np.full((6, 8, 3), 128, np.uint8))[1].tobytes()
    samples = np.array([0, 1, -1, 32767, -32768], np.int16)
    return Preview("kitchen-1", 41, 5_000_000_000, 6, 8, jpeg, samples, RATE_HZ, 80_000)
