"""What a run is made of, opened from its settings: the model, the sources, and what lies between them."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack

from cavs.runtime.adapter import Adapter, default_adapter, make_adapter
from cavs.runtime.bundle import Bundle, default_bundle_path, read_bundle
from cavs.runtime.choose import open_engine
from cavs.runtime.clock import NS_PER_MS, Clock
from cavs.runtime.engine import Engine
from cavs.runtime.errors import ConfigError, StoreError
from cavs.runtime.onnx_engine import OnnxEngine
from cavs.runtime.slot import Slot
from cavs.runtime.store_follow import SlotFeeder, StoreFollower
from cavs.runtime.store_read import StoreReader
from cavs.stream.align import Aligner
from cavs.stream.beside import open_recent
from cavs.stream.counters import Counters
from cavs.stream.health import Health
from cavs.stream.inbox import Inbox, Strategy
from cavs.stream.media_open import place_of
from cavs.stream.objects import ObjectFinder
from cavs.stream.offsets import stored_offset_ms
from cavs.stream.pipeline import Parts
from cavs.stream.publisher import Publisher
from cavs.stream.runner import OneAtATime, Runner, SeveralAtOnce
from cavs.stream.settings import StreamSettings
from cavs.stream.source import Source

LIVE_FRAMES, FILE_FRAMES = 4, 16
"""Frames that may wait: live more would be stale, for files enough to keep the decoder busy."""
LIVE_BLOCKS_S, FILE_BLOCKS_S = 5.0, 20.0
FOLLOWER_STOP_S = 1.0


def open_slot(settings: StreamSettings, clock: Clock, closing: ExitStack) -> tuple[Slot, str]:
    """The slot with its first model, followed from the store if there is one; and why this engine."""
    bundle, adapter, number = _first_model(settings)
    threads = 1 if windows_at_once(settings) > 1 else settings.threads
    engine, why = open_engine(bundle, settings.engine, threads)
    wish = settings.engine
    if _several_at_once(settings, engine):
        wish, why = "onnx", f"{why}, {windows_at_once(settings)} windows at once"
    slot = Slot(engine, adapter, clock, version=number)
    closing.callback(slot.close)
    if settings.model_store is not None:
        follower = StoreFollower(settings.model_store)
        feeder = SlotFeeder(follower, slot, lambda new: open_engine(new, wish, threads)[0], clock)
        _start_following(feeder, closing)
    return slot, why


def windows_at_once(settings: StreamSettings) -> int:
    """Of a file that is read fast, a window for each engine thread; live, where the newest counts, one with all of them."""
    if settings.source is None or settings.rate == "realtime":
        return 1
    return settings.threads if settings.rate == "fast" or not place_of(settings.source).network else 1


def _several_at_once(settings: StreamSettings, engine: Engine) -> bool:
    return windows_at_once(settings) > 1 and engine.name == OnnxEngine.name


def _first_model(settings: StreamSettings) -> tuple[Bundle, Adapter, int]:
    """The model to start with: the current one of the store, else the bundle's own."""
    if (store := settings.model_store) is not None:
        reader = StoreReader(store)
        pointer = reader.pointer()
        if pointer is None:
            raise StoreError(f"{store}: no current version; add a bundle: cavs-models add BUNDLE --store {store}")
        model = reader.load(pointer.version)
        return model.bundle, model.adapter, model.version
    bundle = read_bundle(settings.bundle or default_bundle_path())
    adapter = default_adapter(bundle)
    if settings.sound_threshold is not None:
        adapter = _with_threshold(adapter, bundle, settings.sound_threshold)
    return bundle, adapter, 0


def _with_threshold(adapter: Adapter, bundle: Bundle, threshold: float) -> Adapter:
    tensors = dict(adapter.tensors)
    thresholds = tensors["thresholds"].copy()
    thresholds[0] = threshold
    tensors["thresholds"] = thresholds
    return make_adapter(tensors, bundle=bundle, classes=adapter.classes, method="threshold", parent=adapter.id)


def _start_following(feeder: SlotFeeder, closing: ExitStack) -> None:
    """A thread around the feeder's step; it opens engines and prepares adapters, so the live loop does not."""
    ended = threading.Event()

    def follow() -> None:
        while not ended.is_set():
            feeder.step()
            feeder.wait()

    thread = threading.Thread(target=follow, name="store follower", daemon=True)
    thread.start()
    closing.callback(thread.join, FOLLOWER_STOP_S)
    closing.callback(ended.set)


def open_sources(settings: StreamSettings, bundle: Bundle, clock: Clock, counters: Counters) -> Sequence[Source]:
    """The sources that the settings name, not yet opened: their threads do that."""
    rate_hz = bundle.manifest.sound.rate_hz
    if settings.demo:
        from cavs.stream.demo import demo_source

        return [demo_source(rate_hz=rate_hz, clock=clock, loops=settings.loops, counters=counters)]
    if settings.source is not None:
        from cavs.stream.media import MediaSource

        return [MediaSource(settings.source, rate_hz=rate_hz, clock=clock, rate=settings.rate, counters=counters)]
    return _open_devices(settings, rate_hz, clock, counters)


def _open_devices(settings: StreamSettings, rate_hz: int, clock: Clock, counters: Counters) -> Sequence[Source]:
    from cavs.stream.camera import CameraSource

    assert settings.camera is not None, "StreamSettings checks that one way in is given"
    camera = CameraSource(
        settings.camera,
        clock=clock,
        width_px=settings.width_px,
        height_px=settings.height_px,
        fps=settings.fps,
        fourcc=settings.fourcc,
        counters=counters,
    )
    if settings.mic == "none":
        return [camera]
    from cavs.stream.microphone import MicrophoneSource

    return [camera, MicrophoneSource(settings.mic, rate_hz=rate_hz, clock=clock, counters=counters)]


def assemble(
    settings: StreamSettings, slot: Slot, sources: Sequence[Source], *, clock: Clock, counters: Counters, closing: ExitStack
) -> Parts:
    """Everything between the sources and the wire."""
    live = sources[0].live
    sound = slot.engine.bundle.manifest.sound
    lookahead_ms = 1000 * sound.lookahead_samples / sound.rate_hz
    if settings.staleness_ms <= settings.sound_wait_ms + lookahead_ms:
        raise ConfigError(
            f"--staleness-ms {settings.staleness_ms:g} must exceed --sound-wait-ms {settings.sound_wait_ms:g} plus the "
            f"bundle's look-ahead of {lookahead_ms:g} ms, or a frame without sound is stale before it is used"
        )
    publisher = Publisher(
        settings.bind,
        settings.stream,
        clock=clock,
        keys=settings.keys,
        encoding=settings.encoding,
        preview=settings.preview,
        lossless=not live,
    )
    closing.callback(publisher.close)
    inbox = Inbox(
        Strategy.DROP_OLDEST if live else Strategy.WAIT,
        frame_capacity=LIVE_FRAMES if live else FILE_FRAMES,
        block_capacity_s=LIVE_BLOCKS_S if live else FILE_BLOCKS_S,
        counters=counters,
        producers=len(sources),
    )
    aligner = Aligner(
        sound.rate_hz,
        sound.samples,
        sound.lookahead_samples,
        live=live,
        staleness_ns=round(settings.staleness_ms * NS_PER_MS),
        audio_wait_ns=round(settings.sound_wait_ms * NS_PER_MS),
        audio_expected=settings.mic != "none",
        offset_ns=round(_offset_ms(settings) * NS_PER_MS),
        counters=counters,
        windows_held=windows_at_once(settings),
    )
    runner: Runner = OneAtATime(slot, clock)
    if _several_at_once(settings, slot.engine):
        runner = SeveralAtOnce(slot, clock, windows_at_once(settings))
    closing.callback(runner.close)
    return Parts(
        inbox=inbox,
        aligner=aligner,
        slot=slot,
        finder=ObjectFinder(dict(slot.adapter.classes), settings.min_area, least_heard=settings.least_heard),
        publisher=publisher,
        health=Health(clock, counters, slot),
        clock=clock,
        virtual_time=not live,
        recent=open_recent(settings, slot.engine.bundle),
        runner=runner,
    )


def _offset_ms(settings: StreamSettings) -> float:
    """What was given, else what `cavs-stream calibrate` stored for these devices, else 0."""
    if settings.offset_ms is not None:
        return settings.offset_ms
    stored = None if settings.camera is None or settings.mic == "none" else stored_offset_ms(settings.camera, settings.mic)
    return stored or 0.0
