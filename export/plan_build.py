"""Has a plan built by a process of its own, watches it, checks what came out, and adds it to the bundle.

The stream beside it is not touched: the build can be slow, run out of memory or time, or be killed, and the bundle still
lists the plans it listed before.
"""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnx
from onnx import ModelProto
from safetensors.numpy import save as save_tensors

from cavs.export.fold import Folded, without_lora
from cavs.export.half import bundle_windows, check_halved, halved, is_half
from cavs.export.plan_child import Order
from cavs.runtime import contract
from cavs.runtime.bundle import Bundle
from cavs.runtime.clock import NS_PER_MS, NS_PER_S, Clock
from cavs.runtime.errors import EngineError, ExportError
from cavs.runtime.manifest import PlanEntry, TensorSpec
from cavs.runtime.plan import machine_key, private_directory
from cavs.runtime.plan_store import add_plan, building, plan_file
from cavs.runtime.tensorrt_cuda import Cuda
from cavs.runtime.tensorrt_versions import ENGINE_NAMES, Library, Target

Precision = Literal["fp16", "fp32"]
Said = Callable[[dict[str, Any]], None]

PLAN_FILE = "plan"
HALF_WINDOWS = 8
"""That a graph must label as before when it was put into half precision."""
KILLED_FOR_MEMORY = -signal.SIGKILL
LAST_WORDS_BYTES = 4000


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What plan to build. sm: compute capabilities such as `86`; empty for the GPU that is here."""

    target: Target
    precision: Precision | None = None
    """None: the graph's own."""
    sm: tuple[str, ...] = ()
    refit: bool = False
    workspace_mib: int = 1024
    timeout_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class Built:
    """A plan in its bundle. seconds: what the builder took. layers: what is in it, as the inspector or the builder says."""

    bundle: Bundle
    entry: PlanEntry
    seconds: float
    layers: str


def build_plan(bundle: Bundle, options: PlanOptions, library: Library, clock: Clock, hear: Said = lambda said: None) -> Built:
    """Builds, checks and adds a plan. `hear` gets what the builder says of its progress.

    Raises ExportError if the build fails, takes too long, is killed, or gives something else than the bundle's graph, and
    PlanRejected if the bundle cannot be written to; it lists what it listed before then.
    """
    if options.refit:
        check_refit(options)
    graph, folded, precision = plan_graph(bundle, options)
    with building(bundle) as files:
        done = compile_graph(graph, files, options, library, clock, refit=folded, hear=hear)
        check_built(bundle, done, lora=folded is None)
        base = _write_base(files, folded)
        entry = _entry(files / PLAN_FILE, base, done, precision=precision, target=options.target, folded=folded)
        bundle = add_plan(bundle, entry, files / PLAN_FILE, base, key=machine_key())
    return Built(bundle, entry, done["seconds"], done["layers"])


def check_refit(options: PlanOptions) -> None:
    """Raises ExportError without a GPU: TensorRT for RTX 1.7.1 builds without one only what cannot be refitted."""
    try:
        Cuda().device_sm()
    except EngineError as error:
        raise ExportError(
            f"{ENGINE_NAMES[options.target]}: a plan for refit is built on a GPU ({error}); "
            "build it where one is, or without --refit"
        ) from error


def compile_graph(
    graph: ModelProto,
    files: Path,
    options: PlanOptions,
    library: Library,
    clock: Clock,
    *,
    refit: Folded | None = None,
    hear: Said = lambda said: None,
) -> dict[str, Any]:
    """Has a graph compiled into `files / PLAN_FILE`; what the builder says of it. Raises ExportError."""
    cache = private_directory() / f"timing-{library.name}-{library.version}.cache" if library.differences.timing_cache else None
    order = Order(
        target=options.target,
        graph=str(files / "graph.onnx"),
        plan=str(files / PLAN_FILE),
        sm=options.sm,
        refittable=tuple(weight.name for weight in refit.weights) if refit else (),
        workspace_mib=options.workspace_mib,
        timing_cache=None if cache is None else str(cache),
    )
    Path(order.graph).write_bytes(graph.SerializeToString())
    return _run(files, order, options, clock, hear)


def plan_graph(bundle: Bundle, options: PlanOptions) -> tuple[ModelProto, Folded | None, Precision]:
    """The graph that the builder gets: in the precision asked for, without LoRA inputs for a refit."""
    model = onnx.load(bundle.graph_path)
    own: Precision = "fp16" if is_half(model) else "fp32"
    precision = options.precision or own
    if (own, precision) == ("fp16", "fp32"):
        raise ExportError(f"{bundle.root}: its graph is fp16; for an fp32 plan export the checkpoint with --precision fp32")
    if precision != own:
        whole, model = model, halved(model)
        check_halved(bundle, whole, model, bundle_windows(bundle, HALF_WINDOWS))
    folded = without_lora(model, bundle.manifest.adapter) if options.refit else None
    return (folded.model if folded else model), folded, precision


def _run(files: Path, order: Order, options: PlanOptions, clock: Clock, hear: Said) -> dict[str, Any]:
    """What the child says at its end. Raises ExportError in every other case; the child is gone then."""
    (files / "order.json").write_text(order.to_json())
    command = [sys.executable, "-m", "cavs.export.plan_child", str(files / "order.json")]
    with (files / "said").open("wb") as words:
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=words, stdin=subprocess.DEVNULL, start_new_session=True
        )
    end: dict[str, Any] = {}
    try:
        for said in _lines(child, clock, options.timeout_s):
            end = said
            hear(said)
        code = child.wait()
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        if child.stdout is not None:
            child.stdout.close()
    if code == 0 and "done" in end:
        done: dict[str, Any] = end["done"]
        return done
    raise ExportError(f"{ENGINE_NAMES[options.target]} plan: {_what_happened(code, end, files, options)}; no plan was added")


def _lines(child: "subprocess.Popen[bytes]", clock: Clock, timeout_s: float) -> Any:
    """The JSON lines of the child until it ends. Raises ExportError when its time is over."""
    if child.stdout is None:
        raise ValueError("the child was started without a pipe")
    end_ns = clock.now_ns() + round(timeout_s * NS_PER_S)
    waiting = select.poll()
    waiting.register(child.stdout, select.POLLIN)
    rest = b""
    while True:
        left_ns = end_ns - clock.now_ns()
        if left_ns <= 0:
            raise ExportError(f"the build took longer than {timeout_s:g} s and was stopped; give it more with --timeout")
        if not waiting.poll(max(1, left_ns // NS_PER_MS)):
            continue
        piece = os.read(child.stdout.fileno(), 1 << 16)
        if not piece:
            return
        *whole, rest = (rest + piece).split(b"\n")
        yield from (json.loads(line) for line in whole if line.startswith(b"{"))


def _what_happened(code: int, end: dict[str, Any], files: Path, options: PlanOptions) -> str:
    if "failed" in end:
        return str(end["failed"])
    if code == KILLED_FOR_MEMORY:
        return (
            "the builder was killed, most likely because memory ran out; close what runs beside it, or give it less than "
            f"--workspace-mib {options.workspace_mib}"
        )
    words = (files / "said").read_bytes()[-LAST_WORDS_BYTES:].decode(errors="replace").strip().splitlines()
    last = words[-1] if words else "it said nothing"
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"the builder ended with {how}: {last}"


def check_built(bundle: Bundle, done: dict[str, Any], *, lora: bool) -> None:
    """Raises ExportError unless the plan has the bundle's inputs (without those of LoRA: `lora` false) and reads each."""
    manifest = bundle.manifest
    slots = [slot for slot in manifest.adapter.slots if lora or not slot.name.startswith(contract.LORA_PREFIX)]
    for kind, expected in (("inputs", [*manifest.inputs[:2], *slots]), ("outputs", manifest.outputs)):
        seen, wanted = sorted(done[kind]), sorted(map(str, expected))
        if seen != wanted:
            odd = sorted(set(seen) ^ set(wanted))[0]
            raise ExportError(f"the built plan's {kind} differ from the manifest's in {odd}; no plan was added")
    if not done["layers"]:
        raise ExportError("the builder lists no layers, so nobody can say that the adapter inputs are read; no plan was added")
    for spec in (*manifest.inputs[:2], *slots):
        if not _is_read(done["layers"], spec):
            raise ExportError(f"no layer of the built plan reads {spec.name}; no plan was added")


def _is_read(layers: str, spec: TensorSpec) -> bool:
    return f"Name: {spec.name}," in layers or f'"Name": "{spec.name}"' in layers


def _write_base(files: Path, folded: Folded | None) -> Path | None:
    if folded is None:
        return None
    path = files / "base.safetensors"
    path.write_bytes(save_tensors(dict(folded.base)))
    return path


def _entry(
    plan: Path, base: Path | None, done: dict[str, Any], *, target: Target, precision: Precision, folded: Folded | None
) -> PlanEntry:
    form: Literal["inputs", "refit"] = "refit" if folded else "inputs"
    purpose = f"{ENGINE_NAMES[target]}-{form}-{precision}"
    return PlanEntry(
        file=plan_file(plan, purpose, ".plan"),
        target=target,
        form=form,
        precision=precision,
        tensorrt_version=done["version"],
        cuda_version=done["cuda"][0],
        driver_version=done["cuda"][1],
        sm=tuple(done["sm"]),
        base=None if base is None else plan_file(base, purpose, ".safetensors"),
        refit=() if folded is None else folded.weights,
        keyed_digest="0" * 64,
    )
