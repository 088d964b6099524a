"""The gate: ten poisoned candidates, each refused for what is wrong with it, and a sound one that passes."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from cavs.adapt.learn.exemplar import Exemplar
from cavs.adapt.serve.gate import Gate
from cavs.adapt.serve.ground import Ground
from cavs.adapt.serve.trial import Contender
from cavs.adapt.serve.verdict import CHECKS, Verdict
from cavs.runtime import contract
from cavs.runtime.adapter import Adapter, default_adapter, make_adapter, tensors_digest, write_adapter
from cavs.runtime.bundle import ADAPTER_FILE, Bundle
from cavs.runtime.engine import Prediction, PreparedAdapter
from cavs.runtime.manifest import AdapterManifest, ClassRow, adapter_id
from cavs.runtime.onnx_engine import OnnxEngine
from tests.lessons import coloured_windows, shown
from tests.tiny_bundle import DOWN, UP, make_tiny_bundle
from tests.tiny_school import TinySchool

YELLOW = (1.0, 1.0, 0.0)
Make = Callable[[Bundle, Path], Path]


@pytest.fixture
def ground(tiny_bundle: Bundle, primaries: list[Exemplar]) -> Ground:
    """A lesson of yellow on the tiny bundle, with anchors of what it knows and half a second of a live red thing."""
    engine = OnnxEngine(tiny_bundle, threads=1)
    first = default_adapter(tiny_bundle)
    return Ground(
        lesson="20261121T153000-a1b2c3",
        names=("yellow",),
        forgotten=None,
        parent=first.id,
        rows={name: row for row, name in first.classes},
        bundle=tiny_bundle,
        engine=engine,
        incumbent=Contender(engine, first),
        anchors=tuple(primaries),
        held_out=tuple(shown(tiny_bundle, "yellow", YELLOW)),
        live=coloured_windows(tiny_bundle, (1.0, 0.0, 0.0)),
    )


def tensors_with_yellow(bundle: Bundle) -> dict[str, npt.NDArray[np.float32]]:
    tensors = {name: tensor.copy() for name, tensor in default_adapter(bundle).tensors.items()}
    tensors[contract.CLASS_TABLE][3] = np.array(YELLOW) / np.sqrt(2)
    tensors[contract.CLASS_USED][3] = 1
    return tensors


def candidate(
    bundle: Bundle, path: Path, changes: dict[str, object] | None = None, name: str = "yellow", parent: str | None = None
) -> Path:
    """A candidate on the disk; with what `make_adapter` would refuse, written as a broken learner might."""
    tensors = tensors_with_yellow(bundle)
    for key, value in (changes or {}).items():
        tensors[key] = np.broadcast_to(np.asarray(value, np.float32), tensors[key].shape).copy()
    first = default_adapter(bundle)
    rows = (*first.classes, ClassRow(3, name))
    digest = tensors_digest(tensors)
    manifest = AdapterManifest(
        id=adapter_id(bundle.id, rows, digest),
        bundle_id=bundle.id,
        tensors_sha256=digest,
        classes=rows,
        parent=parent or first.id,
        method="test",
    )
    write_adapter(Adapter(tensors, manifest), path)
    return path


def judged(path: Path, ground: Ground) -> Verdict:
    return Gate(TinySchool()).judge(path, ground, wall_ns=1)


def test_a_sound_candidate_passes_every_check(ground: Ground, tiny_bundle: Bundle, tmp_path: Path) -> None:
    verdict = judged(candidate(tiny_bundle, tmp_path / "sound"), ground)
    assert verdict.reason == ""
    assert verdict.accepted
    assert tuple(check.name for check in verdict.checks) == CHECKS
    assert {check.state for check in verdict.checks} == {"passed"}
    assert Verdict.model_validate_json(verdict.model_dump_json(by_alias=True)) == verdict


def spread_out(bundle: Bundle, path: Path) -> Path:
    """Random pairs."""
    rng = np.random.default_rng(7)
    return candidate(bundle, path, {DOWN: rng.normal(size=(2, 3)), UP: rng.normal(size=(3, 2))})


def torn(bundle: Bundle, path: Path) -> Path:
    file = candidate(bundle, path) / ADAPTER_FILE
    file.write_bytes(file.read_bytes()[:-40])
    return path


def edited(bundle: Bundle, path: Path) -> Path:
    file = candidate(bundle, path) / ADAPTER_FILE
    content = bytearray(file.read_bytes())
    content[-3] ^= 0x40
    file.write_bytes(content)
    return path


def another_bundle(bundle: Bundle, path: Path) -> Path:
    return candidate(make_tiny_bundle(path.with_name("other"), samples=800), path)


def red_forgotten(bundle: Bundle, path: Path) -> Path:
    """Its pair turns red into black, and leaves the rest as it was."""
    down, up = np.zeros((2, 3)), np.zeros((3, 2))
    down[0, 0], up[0, 0] = 1, -0.9
    return candidate(bundle, path, {DOWN: down, UP: up})


def red_renamed(bundle: Bundle, path: Path) -> Path:
    """Red and green have changed rows: the names are there, and wrong."""
    first = default_adapter(bundle)
    tensors = tensors_with_yellow(bundle)
    rows = ((0, "green"), (1, "red"), (2, "blue"), (3, "yellow"))
    write_adapter(make_adapter(tensors, bundle=bundle, classes=rows, method="test", parent=first.id), path)
    return path


POISONED: dict[str, tuple[Make, str]] = {
    "not a number": (lambda b, p: candidate(b, p, {UP: np.nan}), "finite: 6 of "),
    "overflows": (lambda b, p: candidate(b, p, {DOWN: 1e30, UP: 1e30}), "parity: onnx: "),
    "random adapter": (spread_out, "anchors: forgot "),
    "wrong class names": (lambda b, p: candidate(b, p, name="yelow"), "digests: wrong class names: "),
    "exchanged class names": (red_renamed, "digests: wrong class names: 'red' has row 1, it had row 0"),
    "forgets one class": (red_forgotten, "anchors: forgot red: IoU 1.000 before"),
    "marks without sound": (lambda b, p: candidate(b, p, {"thresholds": (-0.1, 0.8)}), "finite: thresholds -0.1 and 0.8"),
    "stale parent": (lambda b, p: candidate(b, p, parent="5" * 64), "digests: stale parent: it was learned from 555555555555"),
    "torn file": (torn, "digests: "),
    "edited file": (edited, "digests: "),
    "wrong bundle": (another_bundle, "digests: wrong bundle: "),
    "learned nothing": (lambda b, p: candidate(b, p, {"thresholds": (0.5, 0.9999999)}), "anchors: "),
}


@pytest.mark.parametrize("poison", POISONED)
def test_a_poisoned_candidate_is_refused_for_what_is_wrong_with_it(
    poison: str, ground: Ground, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    make, reason = POISONED[poison]
    verdict = judged(make(tiny_bundle, tmp_path / "candidate"), ground)
    assert not verdict.accepted
    assert verdict.reason.startswith(reason)
    assert "\n" not in verdict.reason
    assert verdict.checks[-1].state == "failed"
    assert all(check.state != "failed" for check in verdict.checks[:-1])


def test_a_lesson_that_was_not_learned_is_refused(ground: Ground, tiny_bundle: Bundle, tmp_path: Path) -> None:
    tensors = tensors_with_yellow(tiny_bundle)
    tensors[contract.CLASS_TABLE][3] = (0, -1, 0)  # a row that no picture is near
    path = candidate(tiny_bundle, tmp_path / "candidate", {contract.CLASS_TABLE: tensors[contract.CLASS_TABLE]})
    assert judged(path, ground).reason == "lesson: yellow was not learned: IoU 0.000, 0.4 expected"


def test_what_the_live_windows_show_counts_too(ground: Ground, tiny_bundle: Bundle, tmp_path: Path) -> None:
    """Without an anchor of red, the stream is what still knows it."""
    fields = {name: getattr(ground, name) for name in Ground.__slots__}
    anchors = tuple(one for one in ground.anchors if "red" not in one.names)
    without = Ground(**{**fields, "anchors": anchors})
    table = tensors_with_yellow(tiny_bundle)[contract.CLASS_TABLE]
    table[0] = (0, -1, 0)  # red is near no row any more
    verdict = judged(candidate(tiny_bundle, tmp_path / "candidate", {contract.CLASS_TABLE: table}), without)
    assert verdict.reason == "shadow: of the live pixels of old classes only 0.0% keep their name"


def test_a_class_without_pictures_is_not_forgotten_unnoticed(ground: Ground, tiny_bundle: Bundle, tmp_path: Path) -> None:
    """No anchor and no live window shows blue; only what is drawn from its statistics tells."""
    anchors = tuple(one for one in ground.anchors if "blue" not in one.names)
    without = replace(ground, anchors=anchors)
    table = tensors_with_yellow(tiny_bundle)[contract.CLASS_TABLE]
    table[2] = (0, -1, 0)  # blue is near no row any more
    verdict = judged(candidate(tiny_bundle, tmp_path / "candidate", {contract.CLASS_TABLE: table}), without)
    assert verdict.reason == "recalled: forgot blue: 100% of what is drawn of it was seen, 0% now is"


def test_without_statistics_nothing_is_recalled(
    ground: Ground, tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TinySchool, "recalled", lambda self, bundle, adapter: {})
    verdict = judged(candidate(tiny_bundle, tmp_path / "sound"), ground)
    assert verdict.accepted
    assert {check.name for check in verdict.checks if check.state == "skipped"} == {"recalled"}


def test_what_cannot_be_checked_is_said(ground: Ground, tiny_bundle: Bundle, tmp_path: Path) -> None:
    fields = {name: getattr(ground, name) for name in Ground.__slots__}
    bare = Ground(**{**fields, "anchors": (), "live": None, "why_not_live": "no stream"})
    verdict = judged(candidate(tiny_bundle, tmp_path / "sound"), bare)
    skipped = {check.name: check.reason for check in verdict.checks if check.state == "skipped"}
    assert verdict.accepted
    assert skipped["shadow"] == "no stream"
    assert "no anchors" in skipped["anchors"]


class RiggedEngine:
    """The candidate's engine as a broken network would make it: `rig` changes what it says, or takes its time."""

    def __init__(self, engine: OnnxEngine, rig: Callable[[Prediction, npt.NDArray[np.float32]], Prediction]) -> None:
        self._engine, self._rig = engine, rig

    @property
    def name(self) -> str:
        return self._engine.name

    @property
    def bundle(self) -> Bundle:
        return self._engine.bundle

    @property
    def reserve(self) -> None:
        return None

    def prepare(self, adapter: Adapter) -> PreparedAdapter:
        return self._engine.prepare(adapter)

    def run(self, frame: npt.NDArray[np.uint8], sound: npt.NDArray[np.float32], adapter: PreparedAdapter) -> Prediction:
        return self._rig(self._engine.run(frame, sound, adapter), sound)

    def close(self) -> None:
        self._engine.close()


def everywhere_in_silence(said: Prediction, sound: npt.NDArray[np.float32]) -> Prediction:
    return said if sound.any() else replace(said, labels=np.full_like(said.labels, 5))


def busy(said: Prediction, sound: npt.NDArray[np.float32]) -> Prediction:
    until_ns = time.thread_time_ns() + 3_000_000
    while time.thread_time_ns() < until_ns:
        pass
    return said


@pytest.mark.parametrize(
    ("rig", "reason"),
    [
        (everywhere_in_silence, "muted: marks 100.00% of the picture without any sound"),
        (busy, "latency: the engine needs "),
    ],
)
def test_an_engine_that_the_candidate_spoils_is_refused(
    rig: Callable[[Prediction, npt.NDArray[np.float32]], Prediction],
    reason: str,
    ground: Ground,
    tiny_bundle: Bundle,
    tmp_path: Path,
) -> None:
    fields = {name: getattr(ground, name) for name in Ground.__slots__}
    rigged = Ground(**{**fields, "engine": RiggedEngine(OnnxEngine(tiny_bundle, threads=1), rig)})
    assert judged(candidate(tiny_bundle, tmp_path / "sound"), rigged).reason.startswith(reason)


def test_a_candidate_that_marks_what_is_silent_beside_another_sound_is_refused(
    ground: Ground, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    """The incumbent is one that marks nothing while another class sounds: the tiny graph itself cannot tell sounds apart."""
    fields = {name: getattr(ground, name) for name in Ground.__slots__}
    quiet = RiggedEngine(
        OnnxEngine(tiny_bundle, threads=1), lambda said, sound: replace(said, labels=np.zeros_like(said.labels))
    )
    deaf = Ground(**{**fields, "incumbent": Contender(quiet, ground.incumbent.adapter)})
    verdict = judged(candidate(tiny_bundle, tmp_path / "sound"), deaf)
    assert verdict.reason == "swapped: marks 100.0% of what is silent while another class sounds, 0.0% before"
