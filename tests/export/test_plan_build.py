"""A plan is built by a process of its own: what the real builder makes of it without a GPU, and all that can go wrong."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cavs.export.onnx_bundle import write_bundle
from cavs.export.plan_build import Built, PlanOptions, build_plan
from cavs.export.plan_child import OOM_SCORE
from cavs.runtime.bundle import Bundle, read_bundle
from cavs.runtime.clock import MonotonicClock
from cavs.runtime.errors import EngineError, ExportError, PlanRejected
from cavs.runtime.plan import Device, machine_key, trusted_plan
from cavs.runtime.tensorrt_engine import TensorRtEngine
from cavs.runtime.tensorrt_versions import load_library
from tests.export.test_parity import windows
from tests.runtime.simulated_gpu import SimulatedGpu
from tests.runtime.test_tensorrt_versions import RTX_HERE
from tests.small_network import small_network

needs_builder = pytest.mark.skipif(not RTX_HERE, reason="needs TensorRT for RTX: pip install 'cavs-stream[rtx]'")
pytestmark = pytest.mark.timeout(600)  # the builder takes 10 s of a processor, and many times that where others have it
no_gpu = pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="a GPU is here")
LIBRARY = SimulatedGpu("rtx-1.7").library
"""The version the plans are for, where nothing is built."""


@pytest.fixture(autouse=True, scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The key of these tests is none of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="module")
def planned(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A copy of the tiny bundle with a real plan for two generations of GPUs. Read-only."""
    return built(copied(tiny_bundle, tmp_path_factory.mktemp("planned") / "bundle"), sm=("86", "89"))


def copied(bundle: Bundle, to: Path) -> Bundle:
    shutil.copytree(bundle.root, to)
    return read_bundle(to)


def built(bundle: Bundle, **options: Any) -> Built:
    return build_plan(bundle, PlanOptions("rtx", **options), load_library("rtx"), MonotonicClock())


@needs_builder
def test_the_real_builder_reads_every_input_of_a_network_of_ours(small_bundle: Bundle, tmp_path: Path) -> None:
    bundle = copied(small_bundle, tmp_path / "bundle")
    made = built(bundle, sm=("86",))
    (plan,) = read_bundle(bundle.root).manifest.plans
    assert (plan.target, plan.form, plan.precision, plan.sm) == ("rtx", "inputs", "fp32", ("86",))
    assert plan.file.size_bytes > 1 << 20
    for spec in small_bundle.manifest.inputs:
        assert f"Name: {spec.name}," in made.layers


@needs_builder
def test_one_plan_is_for_several_gpus_and_for_no_other(planned: Built) -> None:
    library, plan = load_library("rtx"), planned.entry
    for sm in ("86", "89"):
        trusted = trusted_plan(planned.bundle, library, Device(sm, plan.cuda_version, None), key=machine_key())
        assert len(trusted.content) == plan.file.size_bytes
    with pytest.raises(PlanRejected, match="built for SM 86, 89, this device is SM 120"):
        trusted_plan(planned.bundle, library, Device("120", plan.cuda_version, None), key=machine_key())


@no_gpu
def test_a_plan_for_refit_needs_a_gpu_and_says_so_before_it_begins(tiny_bundle: Bundle) -> None:
    with pytest.raises(ExportError, match=r"rtx: a plan for refit is built on a GPU \(.*\); build it where one is"):
        build_plan(tiny_bundle, PlanOptions("rtx", sm=("86",), refit=True), LIBRARY, MonotonicClock())


@needs_builder
def test_a_gpu_that_the_builder_does_not_know_is_named(tiny_bundle: Bundle, tmp_path: Path) -> None:
    bundle = copied(tiny_bundle, tmp_path / "bundle")
    with pytest.raises(ExportError, match=r"rtx plan: SM 61: rtx 1\.7.* builds for .*86.*; no plan was added"):
        built(bundle, sm=("61",))
    assert bundle == read_bundle(bundle.root)


@needs_builder
def test_a_builder_that_is_killed_leaves_the_last_good_plan(planned: Built, tmp_path: Path) -> None:
    bundle = copied(planned.bundle, tmp_path / "bundle")
    before = {path.name: path.read_bytes() for path in bundle.root.iterdir()}
    scores: list[int] = []

    def kill(said: dict[str, Any]) -> None:
        if "phase" in said and not scores:
            (child,) = builders()
            scores.append(int(Path(f"/proc/{child.pid}/oom_score_adj").read_text()))
            child.kill()

    with pytest.raises(
        ExportError, match=r"was killed, most likely because memory ran out.*--workspace-mib 64; no plan was added"
    ):
        build_plan(bundle, PlanOptions("rtx", sm=("86",), workspace_mib=64), load_library("rtx"), MonotonicClock(), kill)
    assert scores == [OOM_SCORE]
    assert {path.name: path.read_bytes() for path in bundle.root.iterdir()} == before


def test_a_build_that_takes_too_long_is_stopped_and_leaves_nothing(tiny_bundle: Bundle, tmp_path: Path) -> None:
    bundle = copied(tiny_bundle, tmp_path / "bundle")
    with pytest.raises(ExportError, match=r"took longer than 0\.05 s and was stopped; give it more with --timeout"):
        build_plan(bundle, PlanOptions("rtx", sm=("86",), timeout_s=0.05), LIBRARY, MonotonicClock())
    assert not builders()
    assert bundle == read_bundle(bundle.root)
    assert not list(bundle.root.glob("plan-*"))


def test_a_full_plan_of_a_halved_bundle_is_not_invented(small_bundle: Bundle, tmp_path: Path) -> None:
    half = write_bundle(small_network(), tmp_path / "half", windows(1), precision="fp16", labels_equal_at_least=0.5)
    with pytest.raises(ExportError, match="its graph is fp16; for an fp32 plan export the checkpoint with --precision fp32"):
        build_plan(half, PlanOptions("rtx", precision="fp32", sm=("86",)), LIBRARY, MonotonicClock())


@no_gpu
@needs_builder
def test_a_real_plan_is_deserialised_up_to_the_missing_gpu(planned: Built) -> None:
    library, gpu = load_library("rtx"), SimulatedGpu()
    trusted = trusted_plan(planned.bundle, library, Device("86", planned.entry.cuda_version, None), key=machine_key())
    with pytest.raises(EngineError, match=r"rtx: deserialize_cuda_engine: .*CUDA driver version is insufficient"):
        TensorRtEngine(planned.bundle, trusted, library=library, cuda=gpu.cuda)
    assert not any(gpu.runtime.in_use.values())


def builders() -> list[psutil.Process]:
    """Children of this process that build plans; other tests may have left helpers of multiprocessing."""
    return [child for child in psutil.Process().children() if "cavs.export.plan_child" in child.cmdline()]
