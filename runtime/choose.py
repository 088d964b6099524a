"""Which engine runs a bundle, and why."""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass

from cavs.runtime.bundle import Bundle
from cavs.runtime.engine import Engine
from cavs.runtime.errors import EngineError
from cavs.runtime.onnx_engine import OnnxEngine
from cavs.runtime.plan import Device, Form, machine_key, private_directory, trusted_plan
from cavs.runtime.rtx_cache import RuntimeCacheFile
from cavs.runtime.rtx_ort_engine import RtxOrtEngine, rtx_devices
from cavs.runtime.tensorrt_cuda import Cuda
from cavs.runtime.tensorrt_engine import TensorRtEngine
from cavs.runtime.tensorrt_refit import RefitEngine
from cavs.runtime.tensorrt_versions import ENGINE_NAMES, Library, Target, load_library

WISHES = ("auto", "onnx", "tensorrt", "rtx", "rtx-ort")
"""What `--engine` takes."""

CUDA_DRIVER = "libcuda.so.1"
_TARGETS: dict[str, Target] = {name: target for target, name in ENGINE_NAMES.items()}


@dataclass(frozen=True, slots=True)
class EngineReport:
    """Whether an engine can be used here, and why or why not."""

    name: str
    usable: bool
    text: str


def open_engine(bundle: Bundle, wish: str = "auto", threads: int | None = None) -> tuple[Engine, str]:
    """A warm engine for `bundle` and one line that says which it is and why.

    An engine on the GPU has one on the CPU in reserve, with `threads` threads. `auto` takes a plan of the bundle that may run
    here, else the CPU, and says why. Raises EngineError if the wish cannot be met; another engine than the one asked for
    is never taken silently.
    """
    if wish not in WISHES:
        raise ValueError(f"engine must be one of {', '.join(WISHES)}, not {wish!r}")
    if wish not in ("auto", "onnx"):
        _check_driver(f"; --engine {wish} needs NVIDIA's; without a GPU: --engine onnx")
    if wish in _TARGETS:
        return _open_tensorrt(bundle, _TARGETS[wish], threads, "asked for")
    if wish == "rtx-ort":
        return RtxOrtEngine(bundle, reserve=OnnxEngine(bundle, threads=threads)), "rtx-ort: ONNX Runtime on the GPU (asked for)"
    why = "asked for"
    if wish == "auto":
        try:
            return _open_best_plan(bundle, threads)
        except EngineError as error:
            why = f"auto: {error}"
    engine = OnnxEngine(bundle, threads=threads)
    count = f"{engine.threads} thread{'s' if engine.threads > 1 else ''}"
    return engine, f"onnx: ONNX Runtime on the CPU, {count} ({why})"


def engine_reports() -> tuple[EngineReport, ...]:
    """Every engine by name: what a bundle with a plan for it could run on here."""
    return tuple(_reports())


def _reports() -> Iterator[EngineReport]:
    yield EngineReport("onnx", True, f"ONNX Runtime {OnnxEngine.version()} on the CPU")
    for name, target in _TARGETS.items():
        try:
            _check_driver()
            library, device = load_library(target), device_of(Cuda())
        except EngineError as error:
            yield EngineReport(name, False, str(error))
        else:
            yield EngineReport(name, True, f"version {library.version}, {_shown(device)}")
    try:
        _check_driver()
        yield EngineReport("rtx-ort", True, f"ONNX Runtime {OnnxEngine.version()}, {len(rtx_devices())} GPU")
    except EngineError as error:
        yield EngineReport("rtx-ort", False, str(error))


def device_of(cuda: Cuda) -> Device:
    """The device that plans run on here. Raises EngineError if there is none."""
    return Device(cuda.device_sm(), *cuda.versions())


def _open_best_plan(bundle: Bundle, threads: int | None) -> tuple[Engine, str]:
    """The first engine that has a plan in the bundle and can run it."""
    _check_driver()
    targets = [target for target in ENGINE_NAMES if any(plan.target == target for plan in bundle.manifest.plans)]
    if not targets:
        raise EngineError(f"the bundle has no plan for the GPU; build one: cavs-export tensorrt {bundle.root}")
    problems = []
    for target in targets:
        try:
            return _open_tensorrt(bundle, target, threads, "auto: the bundle has a plan for it")
        except EngineError as error:
            problems.append(str(error))
    raise EngineError("; ".join(problems))


def _open_tensorrt(bundle: Bundle, target: Target, threads: int | None, why: str) -> tuple[Engine, str]:
    library, cuda = load_library(target), Cuda()
    device, key = device_of(cuda), machine_key()
    plan = trusted_plan(bundle, library, device, _form(bundle, target), key)
    has_cache = library.differences.runtime_cache
    cache = RuntimeCacheFile(private_directory(), key, plan, device) if has_cache else None
    reserve = OnnxEngine(bundle, threads=threads)
    engine: TensorRtEngine | RefitEngine
    try:
        if plan.entry.form == "refit":
            judge = OnnxEngine(bundle, threads=1)
            engine = RefitEngine(bundle, plan, library=library, cuda=cuda, cache=cache, reserve=reserve, judge=judge)
        else:
            engine = TensorRtEngine(bundle, plan, library=library, cuda=cuda, cache=cache, reserve=reserve)
    except BaseException:
        reserve.close()
        raise
    return engine, _told(engine, library, device, precision=plan.entry.precision, cache=cache, why=why)


def _told(
    engine: TensorRtEngine | RefitEngine,
    library: Library,
    device: Device,
    *,
    precision: str,
    cache: RuntimeCacheFile | None,
    why: str,
) -> str:
    graphs = f"without CUDA graphs ({engine.graphs_off})" if engine.graphs_off else "CUDA graphs"
    problem = f", {cache.problem}" if cache is not None and cache.problem else ""
    return (
        f"{library.name}: TensorRT {library.version}, {_shown(device)}, {precision}, {graphs}, onnx in reserve{problem} ({why})"
    )


def _form(bundle: Bundle, target: Target) -> Form:
    """Adapters as inputs wherever the bundle has such a plan: their exchange costs least."""
    forms = {plan.form for plan in bundle.manifest.plans if plan.target == target}
    return "refit" if forms == {"refit"} else "inputs"


def _check_driver(to_do: str = "") -> None:
    try:
        ctypes.CDLL(CUDA_DRIVER)
    except OSError:
        raise EngineError(f"no CUDA driver here ({CUDA_DRIVER}){to_do}") from None


def _shown(device: Device) -> str:
    return f"SM {device.sm}, CUDA {device.cuda_version}, driver for CUDA {device.driver_version or 'none'}"
