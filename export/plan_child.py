"""The process that builds a plan: `python -m cavs.export.plan_child ORDER.json`. It may be killed at any time.

What it has to say are lines of JSON on its standard output: `phase`, `done` or `failed`. It offers itself to the kernel
first when memory runs out, so that the builder dies and not the stream beside it.
"""

import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cavs.runtime.clock import NS_PER_S, MonotonicClock
from cavs.runtime.errors import CavsError, EngineError
from cavs.runtime.tensorrt_cuda import Cuda
from cavs.runtime.tensorrt_versions import Library, Target, load_library, make_logger, said

OOM_SCORE = 900
"""Of 1000: killed before nearly everything else."""
NICENESS = 10
BYTES_PER_MIB = 1 << 20
LAYERS_MESSAGE = "Layers:"
"""How the builder's own list of what it built begins."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to build. `sm` is empty for the GPU that is here; `timing_cache` is read and written where a builder has one."""

    target: Target
    graph: str
    plan: str
    sm: tuple[str, ...]
    refittable: tuple[str, ...]
    workspace_mib: int
    timing_cache: str | None

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Order":
        said = json.loads(text)
        return cls(**{**said, "sm": tuple(said["sm"]), "refittable": tuple(said["refittable"])})


def main(path: str) -> int:
    """Builds what the order says. The plan is written under its final name when it is whole."""
    _step_back()
    order = Order.from_json(Path(path).read_text())
    try:
        _tell(done=_build(order))
    except (CavsError, OSError, RuntimeError, TypeError, ValueError) as error:  # pybind11 raises the last three
        _tell(failed=" ".join(str(error).split()))
        return 1
    return 0


def _build(order: Order) -> dict[str, Any]:
    clock = MonotonicClock()
    library = load_library(order.target)
    heard: list[str] = []
    logger = make_logger(library, lambda severity, text: heard.append(text) if text.startswith(LAYERS_MESSAGE) else None)
    builder = library.module.Builder(logger)
    network = parsed(library, builder, logger, order)
    config = _configured(library, builder, order)
    begun_ns = clock.now_ns()
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineError(f"build_serialized_network: {said(logger)}")
    built_s = (clock.now_ns() - begun_ns) / NS_PER_S
    content = bytes(plan)
    Path(order.plan).write_bytes(content)
    _keep_timings(library, config, order)
    return {
        "version": library.version,
        "cuda": _cuda_versions(),
        "sm": list(order.sm) or [Cuda().device_sm()],
        "seconds": built_s,
        "inputs": [_shown(library, network.get_input(index)) for index in range(network.num_inputs)],
        "outputs": [_shown(library, network.get_output(index)) for index in range(network.num_outputs)],
        "layers": _inspected(library, logger, content) or "\n".join(heard),
    }


def parsed(library: Library, builder: Any, logger: Any, order: Order) -> Any:
    """The graph as a strongly typed network (INetworkDefinition): the precision of each layer is the graph's."""
    flag = library.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED
    network = builder.create_network(1 << int(flag))
    parser = library.module.OnnxParser(network, logger)
    if not parser.parse(Path(order.graph).read_bytes()):
        errors = "; ".join(" ".join(parser.get_error(index).desc().split()) for index in range(parser.num_errors))
        raise EngineError(f"the ONNX parser of {library.name} {library.version} refuses the graph: {errors}")
    for name in order.refittable:
        if not network.mark_weights_refittable(name):
            raise EngineError(f"mark_weights_refittable {name}: {said(logger)}")
    return network


def _configured(library: Library, builder: Any, order: Order) -> Any:
    module = library.module
    config = builder.create_builder_config()
    config.set_memory_pool_limit(module.MemoryPoolType.WORKSPACE, order.workspace_mib * BYTES_PER_MIB)
    config.profiling_verbosity = module.ProfilingVerbosity.DETAILED  # so that the plan can be inspected
    config.progress_monitor = _monitor(library)
    if order.refittable:
        config.set_flag(module.BuilderFlag.REFIT_INDIVIDUAL)
    if library.differences.chosen_sm and order.sm:
        config.num_compute_capabilities = len(order.sm)
        for index, sm in enumerate(order.sm):
            offered = getattr(module.ComputeCapability, f"SM{sm}", None)
            if offered is None or not config.set_compute_capability(offered, index):
                known = ", ".join(sorted(name[2:] for name in module.ComputeCapability.__members__ if name.startswith("SM")))
                raise EngineError(f"SM {sm}: {library.name} {library.version} builds for {known}")
    if order.timing_cache is not None and library.differences.timing_cache:
        path = Path(order.timing_cache)
        known_timings = path.read_bytes() if path.exists() else b""
        config.set_timing_cache(config.create_timing_cache(known_timings), False)
    return config


def _keep_timings(library: Library, config: Any, order: Order) -> None:
    if order.timing_cache is None or not library.differences.timing_cache:
        return
    path = Path(order.timing_cache)
    staged = path.with_suffix(".writing")
    staged.write_bytes(bytes(config.get_timing_cache().serialize()))
    staged.replace(path)


def _monitor(library: Library) -> Any:
    module = library.module

    class Monitor(module.IProgressMonitor):  # type: ignore[misc, name-defined]
        """Tells the outer phases; the inner ones are hundreds."""

        def __init__(self) -> None:
            module.IProgressMonitor.__init__(self)
            self._outer: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if not parent_phase or parent_phase in self._outer:
                if not parent_phase:
                    self._outer[phase_name] = num_steps
                _tell(phase=phase_name, steps=num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self._outer:
                _tell(phase=phase_name, step=step + 1, steps=self._outer[phase_name])
            return True

        def phase_finish(self, phase_name: str) -> None:
            self._outer.pop(phase_name, None)

    return Monitor()


def _inspected(library: Library, logger: Any, plan: bytes) -> str:
    """What the engine inspector says of the plan; nothing where no GPU can deserialise it."""
    try:
        Cuda().device_sm()
    except EngineError:
        return ""
    runtime = library.module.Runtime(logger)
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise EngineError(f"deserialize_cuda_engine: {said(logger)}")
    information = engine.create_engine_inspector().get_engine_information(library.module.LayerInformationFormat.JSON)
    return str(information)


def _cuda_versions() -> tuple[str, str | None]:
    return Cuda().versions()


def _shown(library: Library, tensor: Any) -> str:
    return f"{tensor.name} {library.dtype_name(tensor.dtype)} ({', '.join(str(size) for size in tensor.shape)})"


def _step_back() -> None:
    with suppress(OSError):  # a kernel without it, or a container that forbids it: the build is as good without
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))
    os.nice(NICENESS)


def _tell(**said: Any) -> None:
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
