"""What a plan must be before TensorRT sees a byte of it, and that adding one never leaves less than there was."""

import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from cavs.runtime.bundle import MANIFEST_FILE, Bundle, read_bundle
from cavs.runtime.errors import EngineError, PlanRejected
from cavs.runtime.manifest import PlanEntry
from cavs.runtime.plan import Device, keyed_digest, machine_key, private_directory, trusted_plan
from cavs.runtime.plan_store import add_plan, building, plan_file
from tests.dying_disk import DyingDisk, PowerCut
from tests.runtime.simulated_gpu import SimulatedGpu

KEY = b"k" * 32
HERE = Device("86", "13.4", "13.2")
STEPS_MAX = 100
"""More than adding a plan has."""
LIBRARY = SimulatedGpu("rtx-1.7").library


def unsigned(path: Path, **changes: object) -> PlanEntry:
    entry = PlanEntry(
        file=plan_file(path, "rtx-inputs-fp32", ".plan"),
        target="rtx",
        precision="fp32",
        tensorrt_version=LIBRARY.version,
        cuda_version="13.4",
        driver_version=None,
        sm=("86", "89"),
        keyed_digest="0" * 64,
    )
    return entry.model_copy(update=changes)


def added(bundle: Bundle, content: bytes = b"native code", **changes: object) -> Bundle:
    """The bundle with a plan, added as a build adds it."""
    with building(bundle) as files:
        (files / "plan").write_bytes(content)
        return add_plan(bundle, unsigned(files / "plan", **changes), files / "plan", None, key=KEY)


def rewritten(bundle: Bundle, change: Callable[[dict[str, object]], None]) -> Bundle:
    """The bundle with its plan's entry edited, as somebody who can write there but has no key would."""
    path = bundle.root / MANIFEST_FILE
    manifest = json.loads(path.read_text())
    change(manifest["plans"][0])
    path.write_text(json.dumps(manifest))
    return read_bundle(bundle.root)


def test_an_added_plan_is_trusted_and_the_bundle_stays_the_same_bundle(scratch_bundle: Bundle) -> None:
    bundle = added(scratch_bundle)
    assert bundle.id == scratch_bundle.id
    assert read_bundle(bundle.root).manifest.plans == bundle.manifest.plans
    assert trusted_plan(bundle, LIBRARY, HERE, key=KEY).content == b"native code"


@pytest.mark.parametrize(
    ("changes", "device", "reason"),
    [
        ({"tensorrt_version": "1.6.0"}, HERE, r"built by rtx 1\.6\.0, 1\.7\.1\.116 is installed"),
        ({"cuda_version": "12.6"}, HERE, r"built for CUDA 12\.6, 13\.4 is here"),
        ({"sm": ("89", "120")}, HERE, "built for SM 89, 120, this device is SM 86"),
        ({"target": "native"}, HERE, "has no rtx plan"),
        ({"form": "refit"}, HERE, "has no rtx plan"),
    ],
    ids=["version", "cuda", "sm", "target", "form"],
)
def test_a_plan_for_another_machine_is_refused_with_the_command_that_builds_one(
    scratch_bundle: Bundle, changes: dict[str, object], device: Device, reason: str
) -> None:
    bundle = added(scratch_bundle, b"native code", **changes)
    command = f"build it here: cavs-export tensorrt {bundle.root} --target rtx --sm 86"
    with pytest.raises(PlanRejected, match=f"{reason}.*{command}"):
        trusted_plan(bundle, LIBRARY, device, key=KEY)


def test_a_plan_under_another_key_or_of_another_bundle_is_refused(scratch_bundle: Bundle) -> None:
    bundle = added(scratch_bundle)
    with pytest.raises(PlanRejected, match="keyed digest is not of this machine's key: built elsewhere or edited"):
        trusted_plan(bundle, LIBRARY, HERE, key=b"x" * 32)
    entry = bundle.manifest.plans[0]
    assert keyed_digest(KEY, "f" * 64, entry) != entry.keyed_digest


def test_an_entry_that_was_edited_is_refused_though_its_file_fits(scratch_bundle: Bundle) -> None:
    bundle = added(scratch_bundle, sm=("89",))
    edited = rewritten(bundle, lambda plan: plan.update(sm=["86"]))
    with pytest.raises(PlanRejected, match="keyed digest"):
        trusted_plan(edited, LIBRARY, HERE, key=KEY)


def test_code_that_was_exchanged_together_with_its_digest_is_refused(scratch_bundle: Bundle) -> None:
    bundle = added(scratch_bundle)
    evil = b"other code!"
    (bundle.root / bundle.manifest.plans[0].file.name).write_bytes(evil)
    digest = hashlib.sha256(evil).hexdigest()
    edited = rewritten(bundle, lambda plan: plan["file"].update(sha256=digest))  # type: ignore[attr-defined]
    with pytest.raises(PlanRejected, match="keyed digest"):
        trusted_plan(edited, LIBRARY, HERE, key=KEY)


def test_code_that_was_exchanged_after_the_bundle_was_read_is_refused(scratch_bundle: Bundle) -> None:
    bundle = added(scratch_bundle)
    (bundle.root / bundle.manifest.plans[0].file.name).write_bytes(b"other code!")
    with pytest.raises(PlanRejected, match="changed since the bundle was read"):
        trusted_plan(bundle, LIBRARY, HERE, key=KEY)


def test_a_directory_that_others_can_write_to_is_not_trusted(scratch_bundle: Bundle) -> None:
    bundle = added(scratch_bundle)
    bundle.root.chmod(0o775)
    with pytest.raises(PlanRejected, match=f"others can write there.*chmod go-w {bundle.root}"):
        trusted_plan(bundle, LIBRARY, HERE, key=KEY)
    bundle.root.chmod(0o755)
    bundle.root.parent.chmod(0o777)
    with pytest.raises(PlanRejected, match="everybody can exchange what lies there"):
        trusted_plan(bundle, LIBRARY, HERE, key=KEY)


def test_adding_a_plan_takes_the_right_to_write_from_others(scratch_bundle: Bundle) -> None:
    scratch_bundle.root.chmod(0o777)
    trusted_plan(added(scratch_bundle), LIBRARY, HERE, key=KEY)


def test_of_two_plans_that_fit_the_halved_one_is_taken(scratch_bundle: Bundle) -> None:
    bundle = added(added(scratch_bundle, b"whole"), b"half", precision="fp16")
    assert trusted_plan(bundle, LIBRARY, HERE, key=KEY).content == b"half"


def test_a_new_plan_replaces_the_one_for_the_same_purpose_only(scratch_bundle: Bundle) -> None:
    bundle = added(added(added(scratch_bundle, b"old"), b"for others", sm=("120",)), b"new")
    assert [plan.sm for plan in bundle.manifest.plans] == [("120",), ("86", "89")]
    assert trusted_plan(bundle, LIBRARY, HERE, key=KEY).content == b"new"
    assert len(list(bundle.root.glob("plan-*"))) == 2


def test_what_a_killed_build_left_harms_nobody_and_the_next_build_sweeps_it_up(scratch_bundle: Bundle) -> None:
    bundle = added(scratch_bundle)
    (bundle.root / "plan-rtx-inputs-fp32-moved-but-not-listed.plan").write_bytes(b"x")
    (bundle.root / "plan-building").mkdir()
    (bundle.root / "plan-building" / "plan").write_bytes(b"half of one")
    again = read_bundle(bundle.root)
    assert trusted_plan(again, LIBRARY, HERE, key=KEY).content == b"native code"
    assert len(added(again, b"newer").manifest.plans) == 1
    assert len(list(bundle.root.glob("plan-*"))) == 1


def test_a_build_that_fails_changes_nothing(scratch_bundle: Bundle) -> None:
    bundle = added(scratch_bundle)
    before = {path.name: path.read_bytes() for path in bundle.root.iterdir()}

    def failing_build() -> None:
        with building(bundle) as files:
            (files / "plan").write_bytes(b"half of one")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        failing_build()
    assert {path.name: path.read_bytes() for path in bundle.root.iterdir()} == before


@pytest.mark.parametrize("half_way", [False, True])
def test_a_power_cut_at_any_step_of_adding_leaves_a_whole_bundle_with_the_old_or_the_new_plan(
    tiny_bundle: Bundle, tmp_path: Path, half_way: bool
) -> None:
    for steps in range(STEPS_MAX):
        root = tmp_path / str(steps)
        shutil.copytree(tiny_bundle.root, root)
        bundle = added(read_bundle(root), b"old")
        files = root / "plan-building"
        files.mkdir()
        (files / "plan").write_bytes(b"new")
        disk = DyingDisk(steps, half_way=half_way)
        with suppress(PowerCut):
            add_plan(bundle, unsigned(files / "plan"), files / "plan", None, key=KEY, disk=disk)
        left = trusted_plan(read_bundle(root), LIBRARY, HERE, key=KEY).content
        assert left in (b"old", b"new")
        if not disk.dead:
            assert left == b"new"
            assert steps > 5
            return
    raise AssertionError("adding a plan never ended")


def test_two_builds_for_one_bundle_are_one_too_many(scratch_bundle: Bundle) -> None:
    with (
        building(scratch_bundle),
        pytest.raises(PlanRejected, match="another process builds"),
        building(scratch_bundle),
    ):
        pass


def test_the_key_is_made_once_and_is_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    key = machine_key()
    assert len(key) == 32
    assert machine_key() == key
    path = private_directory() / "plan.key"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(EngineError, match="others can read it"):
        machine_key()
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(EngineError, match="5 bytes, 32 were expected"):
        machine_key()
    private_directory().chmod(0o755)
    with pytest.raises(EngineError, match="chmod 700"):
        private_directory()
