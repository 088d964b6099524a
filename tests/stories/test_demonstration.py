"""The demonstration clip through the real pipeline with the shipped bundle: the masks on it must be right."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from cavs.adapt.data.demo_clip import DemoClip
from cavs.adapt.data.procedural import CLASSES
from cavs.runtime.adapter import default_adapter
from cavs.runtime.bundle import Bundle, default_bundle_path, read_bundle
from cavs.runtime.clock import NS_PER_S, MonotonicClock
from cavs.runtime.engine import LABEL_SILENT
from cavs.runtime.onnx_engine import OnnxEngine
from cavs.runtime.preprocess import fit_frame
from cavs.stream.align import Aligner
from cavs.stream.demo import demo_clip
from cavs.stream.items import SourceEvent, Window
from cavs.stream.media import MediaSource
from cavs.stream.objects import ObjectFinder
from cavs.stream.source import EndOfSource

EVERY = 6
"""One window in six, five a second: what is learned of the others is the same."""
ONSET_S, RELEASE_S = 0.5, 0.4
"""After a sound begins or ends the masks may take this long; the state in between is nobody's truth."""


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(default_bundle_path())


def windows_of(clip: Path, bundle: Bundle) -> list[Window]:
    """Every sixth window of the clip, as `--fast` would cut it; sound copied, for it is lent only for a while."""
    sound = bundle.manifest.sound
    source = MediaSource(str(clip), rate_hz=sound.rate_hz, clock=MonotonicClock(), rate="fast")
    aligner = Aligner(sound.rate_hz, sound.samples, sound.lookahead_samples, live=False, staleness_ns=NS_PER_S, audio_wait_ns=0)
    kept = []

    def keep() -> None:
        while (window := aligner.pop(0)) is not None:
            if window.seq % EVERY == 0:
                kept.append(Window(window.frame, window.sound.copy(), window.seq, 0, 0, 0, 0, window.sound_grade))

    source.open()
    while True:
        try:
            items = source.step()
        except EndOfSource:
            break
        for item in items:
            if not isinstance(item, SourceEvent):
                aligner.push(item)
        keep()
    source.close()
    aligner.flush()
    keep()
    return kept


class Seen:
    """What the shipped model says of the clip, beside the truth."""

    def __init__(self, bundle: Bundle) -> None:
        truth = DemoClip()
        spans = truth.intervals()
        self.spans = {name: spans[name] for name in CLASSES}  # the siren is heard, never seen
        engine = OnnxEngine(bundle, threads=1)
        prepared = engine.prepare(default_adapter(bundle))
        finder = ObjectFinder(dict(bundle.manifest.classes))
        size = (bundle.manifest.frame.height_px, bundle.manifest.frame.width_px)
        self.overlaps: dict[str, list[float]] = defaultdict(list)
        self.names: dict[str, list[str]] = defaultdict(list)
        self.silent_masses: list[float] = []
        for window in windows_of(demo_clip(), bundle):
            time_s = window.frame.t_ns / NS_PER_S
            prediction = engine.run(fit_frame(window.frame.pixels, size), window.sound, prepared)
            marked = prediction.labels != LABEL_SILENT
            sounding = self.sounding_at(time_s)
            if sounding is None:
                continue
            if sounding == "":
                self.silent_masses.append(float(marked.mean()))
                continue
            wanted = _shrunk(truth.mask_at(time_s) > 0, size)
            self.overlaps[sounding].append(float((marked & wanted).sum() / (marked | wanted).sum()))
            objects = finder.find(prediction)
            self.names[sounding].append(objects[0].cls if objects else "")
        engine.close()

    def sounding_at(self, time_s: float) -> str | None:
        """The class that sounds, "" if none does, None while it changes."""
        for name, spans in self.spans.items():
            for start_s, end_s in spans:
                if start_s + ONSET_S < time_s < end_s:
                    return name
                if start_s <= time_s <= end_s + RELEASE_S:
                    return None
        return ""


def _shrunk(mask: npt.NDArray[np.bool_], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    rows = (np.arange(size[0]) * mask.shape[0]) // size[0]
    columns = (np.arange(size[1]) * mask.shape[1]) // size[1]
    return np.asarray(mask[rows][:, columns])


@pytest.fixture(scope="module")
def seen(bundle: Bundle) -> Seen:
    return Seen(bundle)


def test_every_thing_is_marked_while_it_sounds(seen: Seen) -> None:
    assert set(seen.overlaps) == set(CLASSES)
    for name, overlaps in seen.overlaps.items():
        assert np.median(overlaps) > 0.6, f"{name}: IoU {np.round(overlaps, 2)}"


def test_every_thing_is_called_by_its_name(seen: Seen) -> None:
    for name, names in seen.names.items():
        assert names.count(name) >= 0.8 * len(names), f"{name}: called {names}"


def test_silence_and_a_siren_that_is_not_in_the_picture_mark_nothing(seen: Seen) -> None:
    assert len(seen.silent_masses) > 10
    assert np.mean(seen.silent_masses) < 0.01, f"marked {np.round(seen.silent_masses, 3)}"
