"""What runs beside the live loop when it is asked for: the control socket and the learner. Slow things happen here."""

from contextlib import ExitStack

from cavs.runtime.bundle import Bundle, default_bundle_path
from cavs.runtime.control import control_address
from cavs.runtime.errors import ConfigError
from cavs.runtime.store import ModelStore
from cavs.stream.address import IPC
from cavs.stream.control import ControlServer
from cavs.stream.control_answers import Answers, Stream
from cavs.stream.header import SoundFormat
from cavs.stream.keys import ALLOWED, CLIENTS, make_keys
from cavs.stream.pipeline import Parts
from cavs.stream.recent import Recent
from cavs.stream.settings import StreamSettings
from cavs.stream.supervise import LearnerCommand, Supervisor, learner_command

LEARNER_CLIENT = "learner"
"""Name of the learner among the clients that a stream with keys lets in."""


def prepare(settings: StreamSettings) -> list[str]:
    """Before anything is opened: a store for --adapt, the learner's keys. Returns what was made, a line each."""
    said: list[str] = []
    if not settings.adapt or settings.model_store is None:
        return said
    store = ModelStore(settings.model_store)
    if not (store.path / "current").exists() and not (store.versions_path.is_dir() and store.versions()):
        version = store.commit(None, store.add_bundle(default_bundle_path()))
        said.append(f"{store.path}: the store was empty; the shipped bundle is its version {version} now")
    if settings.keys is not None and not (settings.keys / ALLOWED / f"{LEARNER_CLIENT}.key").exists():
        said.append(f"keys for the learner: {make_keys(settings.keys, LEARNER_CLIENT)}")
    return said


def open_recent(settings: StreamSettings, bundle: Bundle) -> Recent | None:
    """The ring of the last windows, if somebody may ask for it."""
    if not control_addresses(settings):
        return None
    frame, sound = bundle.manifest.frame, bundle.manifest.sound
    listens = SoundFormat(rate_hz=sound.rate_hz, samples=sound.samples, lookahead_samples=sound.lookahead_samples)
    return Recent((frame.height_px, frame.width_px), listens, seconds=settings.recent_seconds, mib=settings.recent_mib)


def start_beside(
    settings: StreamSettings, parts: Parts, closing: ExitStack, learner: LearnerCommand = learner_command
) -> list[str]:
    """The control socket, and the learner with --adapt. Returns what to tell, a line each.

    Raises ConfigError if what was asked for cannot be had; a control socket that was not asked for is done without, aloud.
    """
    if parts.recent is None:
        return []
    supervisor: Supervisor | None = None
    store, addresses = settings.model_store, control_addresses(settings)
    if settings.adapt and store is not None:
        keys = None if settings.keys is None else settings.keys / CLIENTS / LEARNER_CLIENT
        supervisor = Supervisor(learner(store, addresses[0], keys), parts.clock, parts.said.say)
    stream = Stream(
        name=parts.publisher.stream,
        encrypted=settings.keys is not None,
        publishes=parts.publisher.address,
        slot=parts.slot,
        recent=parts.recent,
        health=parts.health,
        said=parts.said,
        clock=parts.clock,
        store=store,
        virtual_time=parts.virtual_time,
        learner=None if supervisor is None else supervisor.state,
    )
    try:
        server = ControlServer(addresses, Answers(stream).answer, keys=settings.keys, on_death=parts.inbox.fail)
    except ConfigError as error:
        if settings.adapt or settings.control is not None:
            raise
        return [f"without a control socket, so nothing can be taught: {error}"]
    closing.callback(server.close)
    server.start()
    if supervisor is not None:
        closing.callback(supervisor.stop)
        supervisor.start()
    kept = f"the last {settings.recent_seconds:g} s stay in memory ({parts.recent.mib:.0f} MiB)"
    return [f"control {', '.join(server.addresses)}; {kept}"]


def control_addresses(settings: StreamSettings) -> list[str]:
    """Where the stream can be asked: beside the store, for its learner and this user, and where --control says."""
    given, store = settings.control, settings.model_store
    if given == "none":
        return []
    if store is None or (given is not None and given.startswith(IPC)):
        return [] if given is None else [given]
    beside = control_address(store)
    return [beside] if given is None else [beside, given]
