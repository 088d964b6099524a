"""What publishing a message costs, and what a hundred subscribers, ten of which never read, do to the stream."""

from contextlib import ExitStack

import cv2
import numpy as np

from benchmarks.footage import FPS, HEIGHT, WIDTH, clip
from benchmarks.processes import Tap, end, program, wait_for_line
from benchmarks.quantiles import CLOCK, median_of, median_ratio, number, percentile, spread
from benchmarks.result import Arms, Plan, Result, Target, Value
from benchmarks.windows import MASKS_TOPIC, masks_of, times_of
from cavs.runtime.adapter import default_adapter
from cavs.runtime.bundle import Bundle, read_bundle
from cavs.runtime.clock import NS_PER_MS, NS_PER_S
from cavs.runtime.engine import LABEL_FIRST_CLASS, Prediction
from cavs.runtime.onnx_engine import OnnxEngine
from cavs.runtime.preprocess import fit_frame
from cavs.stream.items import StampGrade, VideoFrame, Window
from cavs.stream.latency import STAGES
from cavs.stream.masks import ModelStamp
from cavs.stream.objects import ObjectFinder
from cavs.stream.publisher import Publisher

SECONDS = 10.0
SWITCH_S = 1.5
"""After the crowd came or went; not counted."""
MESSAGES_WARM_UP = 15
CROWD, SILENT = 100, 10
PUBLISH_LIMIT_MS, CROWD_LIMIT = 0.5, 1.1
PREDICTIONS = 16
WAIT_MS = 5000


def measure(plan: Plan) -> Result:
    seconds = plan.seconds_or(SECONDS)
    one = [_publish(plan, seconds, turn) for turn in range(plan.repeats)]
    alone, crowded = _crowd(plan, seconds)
    numbers: Arms = {
        "publish, 1 subscriber": median_of(one),
        "stream alone": median_of(alone),
        f"stream, {CROWD} subscribers of which {SILENT} never read": median_of(crowded),
    }
    ratio = median_ratio(crowded, alone, "p99_ms")
    return Result(
        config={"seconds": seconds, "repeats": plan.repeats, "threads": plan.threads, "crowd": CROWD, "silent": SILENT},
        numbers=numbers,
        targets=[
            Target("publishing one message, p50", number(numbers["publish, 1 subscriber"]["p50_ms"]), PUBLISH_LIMIT_MS, "ms"),
            Target("publishing one message, p99", number(numbers["publish, 1 subscriber"]["p99_ms"]), PUBLISH_LIMIT_MS, "ms"),
            Target("p99 end to end of the stream with the crowd over without", ratio, CROWD_LIMIT, "x"),
        ],
        notes=[
            "publish: three objects of a tenth of the picture and a few specks, on the grid of the bundle, each after a "
            "step of the engine, paced at 30 fps",
            "crowd: one stream, to which the subscribers come and from which they go in turns; they run on the same cores, so "
            "their own work counts as well (infer and publish show which it is)",
        ],
    )


def _publish(plan: Plan, seconds: float, turn: int) -> dict[str, Value]:
    """As in a stream, paced and after a step of the engine: back to back, the caches would be warmer than they ever are, and
    after 33 ms of nothing a virtual core first has to wake up.
    """
    bundle = read_bundle(plan.bundle)
    grid = bundle.manifest.frame.height_px, bundle.manifest.frame.width_px
    engine = OnnxEngine(bundle, threads=plan.threads)
    prepared = engine.prepare(default_adapter(bundle))
    predictions = [realistic_prediction(bundle, index) for index in range(PREDICTIONS)]
    finder = ObjectFinder({row.row: row.name for row in bundle.manifest.classes}, 0.001)
    found = [(prediction, finder.find(prediction)) for prediction in predictions]
    stage_times, counters = dict.fromkeys(STAGES, 12.345), {f"cause_{index}": index for index in range(12)}
    address, times = f"ipc://{plan.scratch}/publish-{turn}", []
    with Publisher(address, "bench", clock=CLOCK) as publisher, Tap(address, MASKS_TOPIC) as tap:
        publisher.wait_for_watcher(WAIT_MS)
        due_ns = CLOCK.now_ns()
        for seq in range(MESSAGES_WARM_UP + max(round(seconds * FPS), 2)):
            due_ns += NS_PER_S // FPS
            CLOCK.sleep_ns(due_ns - CLOCK.now_ns())
            prediction, objects = found[seq % PREDICTIONS]
            window = _window(bundle, seq)
            engine.run(fit_frame(window.frame.pixels, grid), window.sound, prepared)
            began_ns = CLOCK.now_ns()
            publisher.publish(window, prediction, objects, ModelStamp(bundle.id), stage_times, counters)
            times.append((CLOCK.now_ns() - began_ns) / NS_PER_MS)
            tap.receive(0)
        size = publisher.bytes_sent / publisher.messages_sent
    return {**spread(times[MESSAGES_WARM_UP:]), "message_bytes": round(size)}


def realistic_prediction(bundle: Bundle, seed: int) -> Prediction:
    """Three objects with uneven rims and a few specks, as networks give them."""
    rng = np.random.default_rng(seed)
    height, width = bundle.manifest.frame.height_px, bundle.manifest.frame.width_px
    noise = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), 4)
    rows = len(bundle.manifest.classes) or 1
    labels = np.zeros((height, width), np.uint8)
    confidence = np.full((height, width), 20, np.uint8)
    y, x = np.mgrid[:height, :width]
    for thing in range(3):
        cy, cx = rng.uniform(0.2, 0.8, 2) * (height, width)
        inside = np.hypot(y - cy, x - cx) + 60 * noise < 0.18 * min(height, width)
        labels[inside] = LABEL_FIRST_CLASS + thing % rows
        confidence[inside] = 220
    presence = rng.uniform(0, 1, bundle.manifest.adapter.class_capacity).astype(np.float32)
    return Prediction(labels=labels, confidence=confidence, presence=presence)


def _window(bundle: Bundle, seq: int) -> Window:
    now_ns = CLOCK.now_ns()
    samples = bundle.manifest.sound.samples
    return Window(
        frame=VideoFrame(np.zeros((HEIGHT, WIDTH, 3), np.uint8), now_ns, seq),
        sound=np.zeros(samples, np.float32),
        seq=seq,
        sound_start_ns=now_ns - samples * NS_PER_S // bundle.manifest.sound.rate_hz,
        sound_end_ns=now_ns,
        missing=0,
        skew_ns=0,
        sound_grade=StampGrade.A,
    )


def _crowd(plan: Plan, seconds: float) -> tuple[list[dict[str, Value]], list[dict[str, Value]]]:
    """One stream; the crowd comes and goes."""
    log, address = plan.scratch / "crowd-stream.log", f"ipc://{plan.scratch}/crowd"
    source = clip(plan.scratch, 2 * plan.repeats * (seconds + SWITCH_S) + 20)
    argv = ["--source", str(source), "--realtime", "--bundle", str(plan.bundle), "--bind", address, "--quiet"]
    argv += ["--threads", str(plan.threads), "--wait-for-watcher", "30"]
    alone, crowded = [], []
    with Tap(address, MASKS_TOPIC) as tap, program("cavs.stream.cli", *argv, log=log) as process:
        tap.first(process, log)
        for turn in range(plan.repeats):
            tap.during(SWITCH_S)
            alone.append(_stream_numbers(tap, seconds))
            crowd_log = plan.scratch / f"crowd-{turn}.log"
            many = ["--address", address, "--count", str(CROWD), "--silent", str(SILENT)]
            with ExitStack() as closing:
                crowd = closing.enter_context(program("benchmarks.crowd", *many, log=crowd_log))
                wait_for_line(crowd, crowd_log, "connected")
                tap.during(SWITCH_S)
                numbers = _stream_numbers(tap, seconds)
                end(crowd, crowd_log)
                received = int(wait_for_line(crowd, crowd_log, "received "))
            crowded.append({**numbers, "received_by_crowd": received})
        end(process, log)
    return alone, crowded


def _stream_numbers(tap: Tap, seconds: float) -> dict[str, Value]:
    times = times_of(masks_of(tap.during(seconds)), 0)
    return {
        "windows": len(times),
        "p50_ms": percentile([time.end_to_end for time in times], 50),
        "p99_ms": percentile([time.end_to_end for time in times], 99),
        "infer_p99_ms": percentile([time.infer for time in times], 99),
        "publish_p50_ms": percentile([time.publish for time in times], 50),
        "publish_p99_ms": percentile([time.publish for time in times], 99),
    }
