"""The graph contract: which inputs and outputs every bundle's graph has, and in which shapes."""

from cavs.runtime.manifest import AdapterSlots, BundleFields, BundleManifest, TensorSpec

FRAME = "frame"
SOUND = "sound"
CLASS_TABLE = "classes.table"
CLASS_USED = "classes.used"
THRESHOLDS = "thresholds"
LABELS = "labels"
CONFIDENCE = "confidence"
PRESENCE = "presence"

LORA_PREFIX = "lora."
LORA_DOWN = ".A"
LORA_UP = ".B"


def adapter_slots(layers: dict[str, tuple[int, int]], *, rank: int, class_capacity: int, embedding: int) -> AdapterSlots:
    """The slots of a network whose adapted layers are `{name: (in, out)}`, in that order, then the class table."""
    slots = []
    for name, (width_in, width_out) in layers.items():
        slots.append(TensorSpec(name=f"{LORA_PREFIX}{name}{LORA_DOWN}", dtype="float32", shape=(rank, width_in)))
        slots.append(TensorSpec(name=f"{LORA_PREFIX}{name}{LORA_UP}", dtype="float32", shape=(width_out, rank)))
    slots.extend(_class_slots(class_capacity, embedding))
    return AdapterSlots(rank=rank, class_capacity=class_capacity, embedding=embedding, slots=tuple(slots))


def graph_inputs(fields: BundleFields) -> tuple[TensorSpec, ...]:
    """All inputs, in graph order."""
    frame = (1, fields.frame.height_px, fields.frame.width_px, 3)
    return (
        TensorSpec(name=FRAME, dtype="uint8", shape=frame),
        TensorSpec(name=SOUND, dtype="float32", shape=(1, fields.sound.samples)),
        *fields.adapter.slots,
    )


def graph_outputs(fields: BundleFields) -> tuple[TensorSpec, ...]:
    """All outputs, in graph order."""
    grid = (1, fields.frame.height_px, fields.frame.width_px)
    return (
        TensorSpec(name=LABELS, dtype="uint8", shape=grid),
        TensorSpec(name=CONFIDENCE, dtype="uint8", shape=grid),
        TensorSpec(name=PRESENCE, dtype="float32", shape=(1, fields.adapter.class_capacity)),
    )


def breach(manifest: BundleManifest) -> str | None:
    """The first way in which a manifest breaks the contract, as part of one line; none if it keeps it."""
    return (
        slots_breach(manifest.adapter)
        or _list_breach("inputs", manifest.inputs, graph_inputs(manifest))
        or _list_breach("outputs", manifest.outputs, graph_outputs(manifest))
        or _classes_breach(manifest)
        or _sound_breach(manifest)
    )


def slots_breach(adapter: AdapterSlots) -> str | None:
    """LoRA pairs A (R, in), B (out, R), each name once, then the class table, its used rows and the thresholds."""
    tail = _class_slots(adapter.class_capacity, adapter.embedding)
    pairs, last = adapter.slots[: -len(tail)], adapter.slots[-len(tail) :]
    if last != tail:
        return f"adapter.slots end with {_listed(last)}, expected {_listed(tail)}"
    if len({slot.name for slot in adapter.slots}) != len(adapter.slots):
        return "adapter.slots name an input twice"
    if len(pairs) % 2:
        return f"adapter.slots hold {len(pairs)} LoRA tensors, expected pairs of A and B"
    for down, up in zip(pairs[::2], pairs[1::2], strict=True):
        layer = down.name.removeprefix(LORA_PREFIX).removesuffix(LORA_DOWN)
        names = (f"{LORA_PREFIX}{layer}{LORA_DOWN}", f"{LORA_PREFIX}{layer}{LORA_UP}")
        if not layer or (down.name, up.name) != names:
            return f"adapter.slots hold {down.name} and {up.name}, expected lora.<layer>.A and its lora.<layer>.B"
        fits = len(down.shape) == len(up.shape) == 2 and down.shape[0] == up.shape[1] == adapter.rank
        if not fits or (down.dtype, up.dtype) != ("float32", "float32"):
            return f"adapter.slots: {down} and {up}, expected float32 ({adapter.rank}, in) and (out, {adapter.rank})"
    return None


def _class_slots(class_capacity: int, embedding: int) -> tuple[TensorSpec, ...]:
    return (
        TensorSpec(name=CLASS_TABLE, dtype="float32", shape=(class_capacity, embedding)),
        TensorSpec(name=CLASS_USED, dtype="float32", shape=(class_capacity,)),
        TensorSpec(name=THRESHOLDS, dtype="float32", shape=(2,)),
    )


def _list_breach(what: str, seen: tuple[TensorSpec, ...], expected: tuple[TensorSpec, ...]) -> str | None:
    for index in range(max(len(seen), len(expected))):
        one = seen[index] if index < len(seen) else "nothing"
        other = expected[index] if index < len(expected) else "nothing"
        if one != other:
            return f"{what}[{index}] is {one}, expected {other}"
    return None


def _classes_breach(manifest: BundleManifest) -> str | None:
    rows = [row for row, _ in manifest.classes]
    if len(set(rows)) != len(rows) or len({name for _, name in manifest.classes}) != len(rows):
        return "classes name a row or a class twice"
    if rows and max(rows) >= manifest.adapter.class_capacity:
        return f"classes name row {max(rows)}, the table has {manifest.adapter.class_capacity} rows"
    return None


def _sound_breach(manifest: BundleManifest) -> str | None:
    if manifest.sound.lookahead_samples >= manifest.sound.samples:
        return f"sound.lookahead_samples is {manifest.sound.lookahead_samples} of {manifest.sound.samples} samples"
    return None


def _listed(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(map(str, specs)) or "nothing"
