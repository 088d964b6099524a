#!/usr/bin/env python3
"""Does the engine gain by INT8 on a CPU, and what does it cost? Writes both answers as JSON.

    scripts/int8.py --ingredients PATH procedural --exclude 'nc/*' --unheard A,B --parts visual --out docs/scores/int8.json

Static quantisation of ONNX Runtime (QDQ, one scale for each output channel, activations calibrated on composed scenes of split
`val`) of the convolutions alone: all that compares with the class table stays float32. Scored on split `test` through the
engine itself, timed in turns with the float32 engine on the same windows.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from cavs.adapt.data.ingredients import Split
from cavs.adapt.ingredient_sets import load_sets
from cavs.adapt.scenarios import Case, CaseSource
from cavs.adapt.scoring import ScenarioScores
from cavs.runtime import contract
from cavs.runtime.adapter import Adapter, default_adapter
from cavs.runtime.bundle import Bundle, default_bundle_path, read_bundle
from cavs.runtime.engine import LABEL_SILENT

SITUATIONS = ("alone", "one_silent", "two_sound", "off_mixed", "off_only", "no_target", "silence")
CALIBRATED_ON = 64


class Cases(CalibrationDataReader):
    """Composed windows with the default adapter, as ONNX Runtime's calibration asks for them."""

    def __init__(self, cases: Iterator[Case], adapter: Adapter) -> None:
        self._cases, self._adapter = cases, dict(adapter.tensors)

    def get_next(self) -> dict[str, Any] | None:
        case = next(self._cases, None)
        return None if case is None else feed(case, self._adapter)


def feed(case: Case, tensors: dict[str, Any]) -> dict[str, Any]:
    return {contract.FRAME: case.frame[None], contract.SOUND: case.sound[None].astype(np.float32), **tensors}


def source_of(bundle: Bundle, args: argparse.Namespace, split: Split) -> CaseSource:
    rows = {name: row for row, name in bundle.manifest.classes}
    ingredients = load_sets(args.ingredients, split, args.exclude, args.unheard.split(","))
    able = ingredients.classes_with_both()
    frame, sound = bundle.manifest.frame, bundle.manifest.sound
    classes = tuple(name for name in rows if name in able)
    return CaseSource(ingredients, classes, rows, (frame.height_px, frame.width_px), sound.samples)


def quantise(bundle: Bundle, source: CaseSource, parts: list[str], out: Path) -> int:
    """Writes the INT8 graph; how many of its convolutions are so. A node is named after its module: /network/visual/..."""
    named = [node.name for node in onnx.load(bundle.graph_path).graph.node if node.op_type == "Conv"]
    nodes = [name for name in named if name.startswith(tuple(f"/network/{part}/" for part in parts))]
    cases = (case for name in ("two_sound", "no_target") for case in source.cases(name, CALIBRATED_ON // 2, 3))
    quantize_static(
        str(bundle.graph_path),
        str(out),
        Cases(cases, default_adapter(bundle)),
        quant_format=QuantFormat.QDQ,
        nodes_to_quantize=nodes,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )
    return len(nodes)


def session_of(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def compare(sessions: dict[str, Any], source: CaseSource, adapter: Adapter, frames: int) -> dict[str, Any]:
    """Both graphs on the same cases in turns: scores, share of marked pixels with the same label, milliseconds."""
    names = tuple(name for _, name in adapter.classes)
    tensors = dict(adapter.tensors)
    took: dict[str, list[float]] = {kind: [] for kind in sessions}
    scores: dict[str, dict[str, Any]] = {kind: {} for kind in sessions}
    same = marked = 0
    for situation in SITUATIONS:
        rows = tuple(source.rows[cls] for cls in source.leading_classes(situation))
        each = {kind: ScenarioScores(situation, names, rows) for kind in sessions}
        for case in source.cases(situation, frames, 1):
            said = {}
            for kind, session in sessions.items():
                given = feed(case, tensors)
                began = perf_counter_ns()
                labels, confidence, _ = session.run(None, given)
                took[kind].append((perf_counter_ns() - began) / 1e6)
                each[kind].add(case, labels[0], confidence[0])
                said[kind] = labels[0]
            either = (said["fp32"] != LABEL_SILENT) | (said["int8"] != LABEL_SILENT)
            same, marked = same + int((said["fp32"] == said["int8"])[either].sum()), marked + int(either.sum())
        for kind, one in each.items():
            scores[kind][situation] = {key: value for key, value in one.summary().items() if key != "confusion"}
    return {
        "scenarios": scores,
        "label_kept_where_either_marks": same / marked,
        "median_ms": {kind: float(np.median(times)) for kind, times in took.items()},
        "int8_to_fp32": float(np.median(np.array(took["int8"]) / np.array(took["fp32"]))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--bundle", type=Path, default=default_bundle_path())
    parser.add_argument("--ingredients", nargs="+", required=True, metavar="PATH", help="folders, or `procedural`")
    parser.add_argument("--exclude", action="append", default=[], metavar="GLOB")
    parser.add_argument("--unheard", default="", metavar="A,B")
    parser.add_argument("--parts", nargs="+", default=["visual"], help="of the network: visual, audio, neck, decoder")
    parser.add_argument("--frames", type=int, default=150, help="per situation")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    args = parser.parse_args()
    bundle = read_bundle(args.bundle)
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "int8.onnx"
        convolutions = quantise(bundle, source_of(bundle, args, "val"), args.parts, graph)
        sizes = {"fp32": bundle.graph_path.stat().st_size, "int8": graph.stat().st_size}
        sessions = {"fp32": session_of(bundle.graph_path, args.threads), "int8": session_of(graph, args.threads)}
        found = compare(sessions, source_of(bundle, args, "test"), default_adapter(bundle), args.frames)
    report = {
        "bundle": bundle.id,
        "onnxruntime": onnxruntime.__version__,
        "threads": args.threads,
        "frames": args.frames,
        "calibrated_on": CALIBRATED_ON,
        "parts": args.parts,
        "convolutions": convolutions,
        "bytes": sizes,
        **found,
    }
    args.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
