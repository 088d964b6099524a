"""`cavs-export compare`: what each way to bring an adapter into the engine costs. Measured in turns, in one run."""

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from rich.console import Console

from cavs.export.fold import with_adapter, without_lora
from cavs.export.half import bundle_windows
from cavs.export.parity import stirred
from cavs.export.plan_build import PLAN_FILE, PlanOptions, build_plan, check_built, compile_graph, plan_graph
from cavs.export.plan_command import BYTES_PER_MIB, options_from, progress_text
from cavs.export.windows import Window
from cavs.runtime import contract
from cavs.runtime.adapter import Adapter, default_adapter, make_adapter
from cavs.runtime.bundle import Bundle, default_bundle_path, read_bundle
from cavs.runtime.choose import open_engine
from cavs.runtime.clock import NS_PER_MS, Clock, MonotonicClock
from cavs.runtime.engine import Engine
from cavs.runtime.errors import EngineError, ExportError
from cavs.runtime.onnx_engine import OnnxEngine, session_options
from cavs.runtime.tensorrt_versions import Library, load_library

THREADS = 1
"""Of ONNX Runtime on the CPU: the same for all that is compared."""
NOT_MEASURED = "-"

Labels = list[npt.NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Row:
    """One way, on one engine. What was not measured is None.

    build_s:      what the builder took.
    size_mib:     of the plan, or of the graph where there is no plan.
    step_ms:      median of a window.
    exchange_ms:  from having an adapter to the engine's being ready to run with it.
    labels_equal: share of pixels labelled as by ONNX Runtime with adapters as inputs, with another adapter than the first.
    """

    way: str
    build_s: float | None = None
    size_mib: float | None = None
    step_ms: float | None = None
    exchange_ms: float | None = None
    labels_equal: float | None = None


def compare(args: argparse.Namespace) -> int:
    """Builds the plans and prints a table: LoRA pairs as inputs, folded into the weights, and by refit. Changes no bundle."""
    options = options_from(args)
    library = load_library(options.target)
    bundle = read_bundle(args.bundle or default_bundle_path())
    windows = list(bundle_windows(bundle, args.count))
    terminal = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="cavs-compare-") as scratch:
        copy = Path(scratch) / "bundle"
        shutil.copytree(bundle.root, copy)
        rows = list(_rows(read_bundle(copy), options, library, windows, terminal))
    text = table(
        rows,
        f"{len(windows)} windows; bundle {bundle.id[:12]}; {library.name} {library.version} for SM {', '.join(options.sm)}",
    )
    print(text)
    if args.out is not None:
        try:
            args.out.write_text(text + "\n")
        except OSError as error:
            raise ExportError(f"{args.out}: {error.strerror}; the table was not written") from error
    return 0


def table(rows: list[Row], about: str) -> str:
    """Markdown: a line for each way, what was not measured as a dash."""
    names = [field.name for field in fields(Row)]
    lines = [about, "", f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    for row in rows:
        values = [getattr(row, name) for name in names]
        shown = [NOT_MEASURED if v is None else v if isinstance(v, str) else f"{v:.4g}" for v in values]
        lines.append(f"| {' | '.join(shown)} |")
    return "\n".join(lines)


def _rows(bundle: Bundle, options: PlanOptions, library: Library, windows: list[Window], terminal: Console) -> Iterator[Row]:
    clock, other = MonotonicClock(), _other_adapter(bundle)
    onnx_row, expected = _engine_row("onnx CPU, inputs", OnnxEngine(bundle, threads=THREADS), other, windows, clock)
    yield replace(onnx_row, size_mib=bundle.graph_path.stat().st_size / BYTES_PER_MIB)
    yield _folded_on_cpu(bundle, other, windows, clock, expected)
    for refit in (False, True):
        chosen, way = replace(options, refit=refit), f"{library.name}, {'refit' if refit else 'inputs'}"
        row = Row(way)
        try:
            with terminal.status("starting the builder") as status:
                built = build_plan(bundle, chosen, library, clock, lambda said: status.update(progress_text(said)))
            row = replace(row, build_s=built.seconds, size_mib=built.entry.file.size_bytes / BYTES_PER_MIB)
            engine, _ = open_engine(_only(built.bundle, built.entry.file.name), library.name)
            measured, _ = _engine_row(way, engine, other, windows, clock, expected=expected)
            row = replace(measured, build_s=row.build_s, size_mib=row.size_mib)
        except (EngineError, ExportError) as error:
            terminal.print(f"{way}: not {'measured' if row.build_s else 'built'}: {error}", highlight=False)
        yield row
    yield _folded_plan(bundle, options, library, clock)


def _engine_row(
    way: str,
    engine: Engine,
    other: Adapter,
    windows: list[Window],
    clock: Clock,
    *,
    expected: Labels | None = None,
) -> tuple[Row, Labels]:
    """Exchanges an engine's adapter for another, runs the windows with that, and closes the engine."""
    try:
        first = engine.prepare(default_adapter(engine.bundle))
        engine.run(windows[0].frame, windows[0].sound, first)
        begun_ns = clock.now_ns()
        prepared = engine.prepare(other)
        exchange_ms = (clock.now_ns() - begun_ns) / NS_PER_MS
        labels, steps = [], []
        for window in windows:
            begun_ns = clock.now_ns()
            said = engine.run(window.frame, window.sound, prepared)
            steps.append((clock.now_ns() - begun_ns) / NS_PER_MS)
            labels.append(said.labels.copy())
        # The first window with an adapter may have to copy it: what it takes longer than others belongs to the exchange.
        exchange_ms += max(0.0, steps[0] - float(np.median(steps)))
    finally:
        engine.close()
        if engine.reserve is not None:
            engine.reserve.close()
    return Row(way, step_ms=float(np.median(steps)), exchange_ms=exchange_ms, labels_equal=_equal(labels, expected)), labels


def _folded_on_cpu(bundle: Bundle, other: Adapter, windows: list[Window], clock: Clock, expected: Labels) -> Row:
    folded = without_lora(onnx.load(bundle.graph_path), bundle.manifest.adapter)
    begun_ns = clock.now_ns()
    graph = with_adapter(folded, other.tensors).SerializeToString()
    session = onnxruntime.InferenceSession(graph, session_options(THREADS), providers=["CPUExecutionProvider"])
    rest = {name: value for name, value in other.tensors.items() if not name.startswith(contract.LORA_PREFIX)}
    exchange_ms = (clock.now_ns() - begun_ns) / NS_PER_MS
    labels, steps = [], []
    for window in windows:
        begun_ns = clock.now_ns()
        feeds = {contract.FRAME: window.frame[None], contract.SOUND: window.sound[None], **rest}
        labels.append(session.run([contract.LABELS], feeds)[0][0])
        steps.append((clock.now_ns() - begun_ns) / NS_PER_MS)
    size_mib = len(graph) / BYTES_PER_MIB
    return Row("onnx CPU, folded", None, size_mib, float(np.median(steps)), exchange_ms, _equal(labels, expected))


def _folded_plan(bundle: Bundle, options: PlanOptions, library: Library, clock: Clock) -> Row:
    """A plan with the adapter in its weights: what a consolidation builds. Its exchange takes the build, and a start on top."""
    _, folded, _ = plan_graph(bundle, replace(options, refit=True))
    if folded is None:
        raise ValueError("a graph for refit was asked for")
    graph = with_adapter(folded, default_adapter(bundle).tensors)
    with tempfile.TemporaryDirectory(prefix="cavs-compare-") as scratch:
        done = compile_graph(graph, Path(scratch), options, library, clock)
        check_built(bundle, done, lora=False)
        size_mib = (Path(scratch) / PLAN_FILE).stat().st_size / BYTES_PER_MIB
    return Row(f"{library.name}, folded", done["seconds"], size_mib, exchange_ms=done["seconds"] * 1000)


def _other_adapter(bundle: Bundle) -> Adapter:
    """One whose LoRA pairs change what the network says."""
    first = default_adapter(bundle)
    return make_adapter(stirred(dict(first.tensors)), bundle=bundle, classes=first.classes, method="compare")


def _only(bundle: Bundle, file: str) -> Bundle:
    """The bundle as if it had one plan."""
    plans = tuple(plan for plan in bundle.manifest.plans if plan.file.name == file)
    return Bundle(bundle.root, bundle.manifest.model_copy(update={"plans": plans}))


def _equal(labels: Labels, expected: Labels | None) -> float | None:
    if expected is None:
        return None
    return float(np.mean([np.mean(one == other) for one, other in zip(labels, expected, strict=True)]))
