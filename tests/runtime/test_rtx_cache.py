"""Kernels compiled once are found again, and nothing else is taken for them."""

from pathlib import Path

import pytest

from cavs.runtime.adapter import default_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.plan import Device
from cavs.runtime.rtx_cache import RuntimeCacheFile
from cavs.runtime.tensorrt_engine import TensorRtEngine
from tests.runtime.simulated_gpu import SimulatedGpu, plan_of
from tests.runtime.test_tensorrt_engine import trusted
from tests.tiny_bundle import square_frame, tone

HERE = Device("86", "13.4", "13.2")


def opened(bundle: Bundle, gpu: SimulatedGpu, folder: Path, device: Device = HERE, key: bytes = b"k" * 32) -> RuntimeCacheFile:
    """Opens and closes an engine with a cache in `folder`."""
    plan = trusted(plan_of(bundle.graph_path))
    cache = RuntimeCacheFile(folder, key, plan, device)
    engine = TensorRtEngine(bundle, plan, library=gpu.library, cuda=gpu.cuda, cache=cache)
    prepared = engine.prepare(default_adapter(bundle))
    assert engine.run(square_frame(bundle, "red"), tone(bundle), prepared).labels.any()
    engine.close()
    return cache


def test_the_second_start_compiles_nothing(tiny_bundle: Bundle, tmp_path: Path) -> None:
    gpu = SimulatedGpu()
    opened(tiny_bundle, gpu, tmp_path)
    opened(tiny_bundle, gpu, tmp_path)
    assert gpu.runtime.compiled == 1


@pytest.mark.parametrize("damage", ["edited", "torn", "another key", "another driver"])
def test_what_is_not_exactly_what_was_written_is_compiled_again(tiny_bundle: Bundle, tmp_path: Path, damage: str) -> None:
    gpu = SimulatedGpu()
    path = opened(tiny_bundle, gpu, tmp_path).path
    whole = path.read_bytes()
    path.write_bytes({"edited": whole[:-1] + b"!", "torn": whole[:40]}.get(damage, whole))
    key = b"x" * 32 if damage == "another key" else b"k" * 32
    device = Device("86", "13.4", "13.9") if damage == "another driver" else HERE
    cache = opened(tiny_bundle, gpu, tmp_path, device, key)
    assert gpu.runtime.compiled == 2
    assert ("torn or edited" in cache.problem) == (damage != "another driver")


def test_a_folder_that_cannot_be_written_is_said_and_costs_only_time(tiny_bundle: Bundle, tmp_path: Path) -> None:
    cache = opened(tiny_bundle, SimulatedGpu(), tmp_path / "gone")
    assert "No such file or directory; kernels are compiled again at the next start" in cache.problem
