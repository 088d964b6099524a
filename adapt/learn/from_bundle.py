"""A bundle -> the network that it was exported from, in torch: the graph carries all that is needed to go on learning."""

import re

import numpy as np
import numpy.typing as npt
import torch
from pydantic import ValidationError
from torch import nn

from cavs.adapt.data.ingredients import RATE_HZ
from cavs.adapt.data.procedural import CLASSES, procedural_ingredients
from cavs.adapt.data.scene import SceneWish, compose_scene
from cavs.adapt.data.sound import compose_sound
from cavs.adapt.learn.graph_weights import Arrays, GraphWeights
from cavs.adapt.model.config import NetworkConfig
from cavs.adapt.model.lora import DOWN, UP
from cavs.adapt.model.neck import Lateral, Refine
from cavs.adapt.model.network import Network, build_network, load_adapter
from cavs.adapt.serving import answer
from cavs.runtime.adapter import Adapter, default_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.errors import BundleRejected
from cavs.runtime.manifest import AdapterManifest
from cavs.runtime.onnx_engine import OnnxEngine

LABELS_EQUAL_AT_LEAST = {"fp32": 0.999, "fp16": 0.995}
"""Share of pixels on which torch and the engine must agree, by the precision of the graph: as the export asks of itself."""
PRESENCE_APART_AT_MOST = {"fp32": 1e-4, "fp16": 2e-2}
PROBES = 6
"""Windows that both are asked."""
EAR_PAIRS = "lora.listener.projections."
"""Slots that only a bundle has whose ear carries pairs from its first layer behind the encoder on."""

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def network_from_bundle(bundle: Bundle, *, threads: int = 1) -> Network:
    """The network of a bundle with its default adapter, in evaluation mode; it answers as the bundle's engine does.

    Batch norms are folded into the convolutions of a graph, so they are the identity here, and must stay in evaluation mode.
    Raises BundleRejected if the graph is not one of our export, or if torch does not answer what the engine answers.
    """
    graph = GraphWeights(bundle.graph_path)
    network = build_network(_config_of(bundle, graph))
    adapter = default_adapter(bundle)
    _fill(network, graph, bundle)
    put_adapter(network, adapter)
    network.eval()
    _check_answers(network, bundle, adapter, threads)
    return network


def put_adapter(network: Network, adapter: Adapter) -> None:
    """Loads an adapter. The network's class names are those of its rows.

    Raises AdapterRejected if it does not fit.
    """
    load_adapter(network, {name: np.array(tensor) for name, tensor in adapter.tensors.items()}, names_by_row(adapter.manifest))


def names_by_row(manifest: AdapterManifest) -> tuple[str, ...]:
    """Name of each row up to the last one in use; empty for a row between them that no class has."""
    names = dict(manifest.classes)
    return tuple(names.get(row, "") for row in range(max(names, default=-1) + 1))


def _config_of(bundle: Bundle, graph: GraphWeights) -> NetworkConfig:
    """The form of the network, read off its weights."""
    manifest, weights = bundle.manifest, {**graph.nameless, **graph.weights}
    if manifest.sound.rate_hz != RATE_HZ:
        raise BundleRejected(f"{bundle.root}: sound at {manifest.sound.rate_hz} Hz, the network hears {RATE_HZ} Hz only")
    if "visual.features.0.weight" not in weights or "audio.features.0.weight" not in weights:
        raise BundleRejected(
            f"{bundle.graph_path}: no weights of a MobileNetV2 and a sound encoder by name; only a bundle of cavs-export with "
            "these encoders can go on learning"
        )
    try:
        time, learned = weights["listener.time"], graph.constant("Concat", "/network/listener/Concat_")
        width = time.shape[1]
        scale = graph.constant("Mul", "/network/listener/blocks.0/attention/Mul")
        blocks = {match[1] for name in weights if (match := re.match(r"listener\.blocks\.(\d+)\.", name))}
        return NetworkConfig(
            visual="mobilenet_v2",
            audio="vggish" if any(name.startswith("audio.embeddings.") for name in weights) else "mn04",
            frame_height_px=manifest.frame.height_px,
            frame_width_px=manifest.frame.width_px,
            sound_samples=manifest.sound.samples,
            stride4=len(weights["neck.lateral4.project.weight"]),
            stride8=len(weights["neck.lateral8.project.weight"]),
            stride16=len(weights["neck.lateral16.project.weight"]),
            stride32=len(weights["neck.lateral32.project.weight"]),
            token_width=width,
            token_layers=len(blocks),
            attention_heads=1 if scale is None else round(width * float(scale) ** 2),
            voices=0 if learned is None else learned.shape[-2] - 2,
            embedding_width=manifest.adapter.embedding,
            class_capacity=manifest.adapter.class_capacity,
            lora_rank=manifest.adapter.rank,
            ear_pairs="listener" if any(slot.name.startswith(EAR_PAIRS) for slot in manifest.adapter.slots) else "voices",
        )
    except (KeyError, ValidationError, ValueError) as error:
        raise BundleRejected(
            f"{bundle.graph_path}: the form of its network cannot be read ({' '.join(str(error).split())}); "
            "export the bundle again with this version"
        ) from error


def _fill(network: Network, graph: GraphWeights, bundle: Bundle) -> None:
    """Puts the graph's weights into a fresh network. Raises BundleRejected if one is missing, left over or of another shape."""
    wanted = {name: tensor for name, tensor in network.state_dict().items() if not _is_adapter(name)}
    given = {**graph.nameless, **_constants(graph)}
    _split_norms(network, given)
    given = {name: array for name, array in given.items() if name in wanted} | graph.weights
    odd = sorted(wanted.keys() ^ given.keys())
    if odd:
        where = "is not in the graph" if odd[0] in wanted else "is in the graph, the network has none"
        raise BundleRejected(f"{bundle.graph_path}: weight {odd[0]} {where}; export the bundle again with this version")
    for name, tensor in wanted.items():
        if given[name].size != tensor.numel() or (given[name].ndim and tensor.ndim and len(given[name]) != len(tensor)):
            raise BundleRejected(
                f"{bundle.graph_path}: weight {name} has shape {given[name].shape}, the network {tuple(tensor.shape)}; "
                "export the bundle again with this version"
            )
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(torch.from_numpy(np.array(given[name])).reshape(tensor.shape))


def _is_adapter(name: str) -> bool:
    return name.startswith("classes.") or name == "thresholds" or name.rpartition(".")[2] in (DOWN, UP)


def _constants(graph: GraphWeights) -> Arrays:
    """Weights that the graph holds under no name: the exporter computes with constants as far as it can."""
    found: Arrays = {}
    learned = graph.constant("Concat", "/network/listener/Concat_")
    scales = {
        "matching.pixel_scale": graph.constant("Div", "/Div"),
        "matching.voice_scale": graph.constant_before("ReduceLogSumExp"),
    }
    if learned is not None:
        found["listener.learned"] = learned[0]
    for name, scale in scales.items():
        if scale is not None:
            found[name] = np.log(scale)
    if "matching.heard_weight" not in graph.weights:
        found["matching.heard_weight"] = np.ones((), np.float32)  # a factor of one is left out of a graph
    return found


def _split_norms(network: Network, given: Arrays) -> None:
    """Gives every norm the bias that the graph keeps in the convolution before it, and otherwise makes it the identity."""
    for path, module in network.named_modules():
        if isinstance(module, Lateral):
            pairs = [("project", "norm")]
        elif isinstance(module, Refine):
            pairs = [("depthwise", "norm"), ("mix", "norm_out")]
        else:
            continue
        for convolution, norm in pairs:
            bias = given.pop(f"{path}.{convolution}.bias", None)
            if bias is not None:
                given.update({f"{path}.{norm}.{name}": array for name, array in _identity(getattr(module, norm), bias).items()})


def _identity(norm: nn.BatchNorm2d, bias: Floats) -> Arrays:
    ones = np.ones_like(bias)
    return {
        "weight": ones,
        "bias": bias,
        "running_mean": np.zeros_like(bias),
        "running_var": ones - np.float32(norm.eps),
        "num_batches_tracked": np.zeros((), np.float32),
    }


def _check_answers(network: Network, bundle: Bundle, adapter: Adapter, threads: int) -> None:
    """Raises BundleRejected unless torch and the engine answer alike on a few composed windows."""
    frames, sounds = _probes(network.config)
    engine = OnnxEngine(bundle, threads=threads)
    prepared = engine.prepare(adapter)
    said = answer(network, frames, sounds)
    equal, apart = 0, 0.0
    for index in range(len(frames)):
        expected = engine.run(frames[index], sounds[index], prepared)
        equal += int((expected.labels == said.labels[index]).sum())
        apart = max(apart, float(np.abs(expected.presence - said.presence[index]).max()))
    engine.close()
    precision = str(bundle.manifest.provenance.get("precision", "fp32"))
    share, least = equal / said.labels.size, LABELS_EQUAL_AT_LEAST.get(precision, LABELS_EQUAL_AT_LEAST["fp32"])
    most = PRESENCE_APART_AT_MOST.get(precision, PRESENCE_APART_AT_MOST["fp32"])
    if share < least or not apart <= most:
        raise BundleRejected(
            f"{bundle.graph_path}: the network read from it gives {share:.3%} of the engine's labels, expected {least:.1%}; "
            f"its presences are up to {apart:.2g} apart, expected {most:g}; it cannot learn: export it again with this version"
        )


def _probes(config: NetworkConfig) -> tuple[Bytes, Floats]:
    """Windows in which drawn things are seen and heard."""
    ingredients = procedural_ingredients("test", per_class=2, sounds_per_class=2, places=2)
    rng = np.random.default_rng(0)
    size = (config.frame_height_px, config.frame_width_px)
    frames, sounds = [], []
    for number in range(PROBES):
        cls = CLASSES[number % len(CLASSES)]
        frames.append(compose_scene(ingredients, rng, size=size, want=SceneWish(classes=(cls,), distractors=(0, 1))).frame)
        sounds.append(compose_sound(ingredients, rng, classes=(cls,), samples=config.sound_samples).samples)
    return np.stack(frames), np.stack(sounds).astype(np.float32)
