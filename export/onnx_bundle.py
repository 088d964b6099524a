"""A checkpoint -> a bundle: graph, default adapter, parity numbers. It appears whole, or not at all."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import onnxruntime
import torch
from pydantic import JsonValue
from safetensors.numpy import save_file

from cavs.adapt.model.lora import adapted_layers
from cavs.adapt.model.network import Network, adapter_tensors
from cavs.export.onnx_graph import OPSET, Precision, slots_of, write_graph
from cavs.export.parity import LABELS_EQUAL_AT_LEAST, check_parity, measure_parity
from cavs.export.windows import Window
from cavs.runtime.bundle import ADAPTER_FILE, GRAPH_FILE, Bundle, seal_bundle
from cavs.runtime.errors import BundleRejected, ExportError
from cavs.runtime.manifest import BundleFields, ClassRow, FrameSpec, SoundSpec


def check_place(out: Path) -> None:
    """Raises ExportError if a bundle cannot be made at `out`."""
    if out.exists():
        raise ExportError(f"{out} exists; a bundle is never overwritten: give a new name or remove it first")
    if not out.parent.is_dir():
        raise ExportError(f"{out.parent} is no directory; no bundle was written")


def write_bundle(
    network: Network,
    out: Path,
    windows: Iterable[Window],
    *,
    precision: Precision = "fp32",
    name: str | None = None,
    provenance: dict[str, JsonValue] | None = None,
    labels_equal_at_least: float | None = None,
) -> Bundle:
    """Exports a network that carries LoRA pairs (`reserve_room`), compares it with torch on `windows`, seals the bundle.

    labels_equal_at_least: share of pixels that must agree; that of the precision by default.
    Raises ExportError if the place cannot be written or the numbers differ; nothing is then left behind.
    """
    if not adapted_layers(network):
        raise ExportError("the network carries no LoRA pairs, so nothing could be learned; make room for them first")
    check_place(out)
    made: dict[str, JsonValue] = {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__, "opset": OPSET}
    try:
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.export-", dir=out.parent) as scratch:
            files = Path(scratch)
            write_graph(network, files / GRAPH_FILE, precision)
            parity = measure_parity(network, files / GRAPH_FILE, windows)
            check_parity(parity, labels_equal_at_least or LABELS_EQUAL_AT_LEAST[precision])
            save_file(adapter_tensors(network), files / ADAPTER_FILE)
            fields = BundleFields(
                name=name or out.name,
                frame=FrameSpec(height_px=network.config.frame_height_px, width_px=network.config.frame_width_px),
                sound=SoundSpec(rate_hz=network.config.sound_rate_hz, samples=network.config.sound_samples),
                adapter=slots_of(network),
                classes=tuple(ClassRow(row, label) for row, label in enumerate(network.class_names)),
                provenance={"precision": precision, "made_with": made, **(provenance or {})},
                parity=parity.to_json(),
            )
            return seal_bundle(files, fields, out)
    except OSError as error:
        raise ExportError(f"{error.filename or out}: {error.strerror or error}; no bundle was written") from error
    except BundleRejected as error:
        raise ExportError(str(error)) from error
