"""What is written beside a model's files: the bundle's manifest and the adapter's, as frozen, checked objects."""

import hashlib
import json
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

SCHEMA_VERSION: Literal[1] = 1
"""Of both manifests and of the model store. A reader refuses every other number."""

CAPACITY_MAX = 254
"""Rows of a class table: `labels` is uint8 and two of its values mean silent and unknown."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=120)]
"""A plain name in the directory itself: no separator, no leading dot, so it cannot lead out of the directory."""
DType = Literal["uint8", "float32"]
Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]


class Record(BaseModel):
    """Frozen; unknown keys are errors; nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, serialize_by_alias=True)


class ClassRow(NamedTuple):
    """A row of the class table and the name it stands for. In JSON: `[row, name]`."""

    row: Annotated[int, Field(ge=0, lt=CAPACITY_MAX)]
    name: Annotated[str, Field(min_length=1, max_length=80)]


class FileEntry(Record):
    """One file of a bundle."""

    name: FileName
    sha256: Sha256
    size_bytes: Count


class TensorSpec(Record):
    """Name, dtype and shape of one input or output of the graph."""

    name: Annotated[str, Field(min_length=1)]
    dtype: DType
    shape: tuple[Positive, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} ({', '.join(map(str, self.shape))})"


class FrameSpec(Record):
    """What `frame` is: RGB, squashed to this size (aspect not kept; bilinear, area when shrinking)."""

    height_px: Positive
    width_px: Positive
    resize: Literal["squash"] = "squash"
    colour: Literal["rgb"] = "rgb"


class SoundSpec(Record):
    """What `sound` is: mono in [-1, 1]. The last `lookahead_samples` of it are newer than the frame."""

    rate_hz: Positive
    samples: Positive
    lookahead_samples: Count = 0


class LabelSpec(Record):
    """Values of the label map."""

    silent: Literal[0] = 0
    unknown: Literal[1] = 1
    first_class: Literal[2] = 2


class AdapterSlots(Record):
    """The inputs that learning changes. `slots` are in graph order; every adapter of the bundle has these shapes."""

    rank: Positive
    class_capacity: Annotated[int, Field(gt=0, le=CAPACITY_MAX)]
    embedding: Positive
    slots: tuple[TensorSpec, ...]


class RefitWeight(Record):
    """One weight of a plan that takes adapters by refit: `base + B A` of this layer is written into it."""

    layer: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(min_length=1)]
    """Of the weight in the plan, and of its base in the file beside it."""
    dtype: Literal["float32", "float16"]
    shape: tuple[Positive, ...]
    turned: bool
    """Stored as (in, out)."""


class PlanEntry(Record):
    """A compiled form of the graph for one family of devices. It is not part of the bundle's id.

    form: `inputs` takes the adapter as inputs; `refit` has its LoRA pairs folded into weights that can be exchanged.
    """

    file: FileEntry
    target: Literal["native", "rtx"]
    form: Literal["inputs", "refit"] = "inputs"
    precision: Literal["fp32", "fp16"]
    tensorrt_version: str
    cuda_version: str
    driver_version: str | None
    sm: tuple[str, ...]
    base: FileEntry | None = None
    """Of a `refit` plan: the weights without any adapter, in safetensors."""
    refit: tuple[RefitWeight, ...] = ()
    keyed_digest: Sha256
    """HMAC-SHA256 of the bundle's id and of all the above, under the key of the machine that may run it."""

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """All that it needs."""
        return (self.file,) if self.base is None else (self.file, self.base)


class BundleFields(Record):
    """What the maker of a bundle states; the rest of its manifest follows from it and from the files."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    frame: FrameSpec
    sound: SoundSpec
    adapter: AdapterSlots
    classes: tuple[ClassRow, ...]
    """Of the default adapter."""
    labels: LabelSpec = LabelSpec()
    provenance: dict[str, JsonValue] = Field(default_factory=dict)
    parity: dict[str, JsonValue] = Field(default_factory=dict)


class BundleManifest(BundleFields):
    """`manifest.json` of a bundle. `id` is the digest of everything here but itself and the plans."""

    schema_version: Literal[1] = Field(alias="schema")
    id: Sha256
    files: tuple[FileEntry, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    plans: tuple[PlanEntry, ...] = ()

    def content_id(self) -> str:
        """The id that these contents must have."""
        return digest_of(self.model_dump(mode="json", exclude={"id", "plans"}))


class AdapterManifest(Record):
    """`adapter.json`. `id` covers what the engine computes with: the bundle, the class rows and the tensors."""

    schema_version: Literal[1] = Field(default=SCHEMA_VERSION, alias="schema")
    id: Sha256
    bundle_id: Sha256
    tensors_sha256: Sha256
    classes: tuple[ClassRow, ...]
    parent: Sha256 | None = None
    """Id of the adapter that it was learned from; none for a bundle's default adapter."""
    method: str
    data_ids: tuple[str, ...] = ()
    scores: dict[str, JsonValue] = Field(default_factory=dict)

    def content_id(self) -> str:
        """The id that these contents must have."""
        return adapter_id(self.bundle_id, self.classes, self.tensors_sha256)


def adapter_id(bundle_id: str, classes: tuple[ClassRow, ...], tensors_sha256: str) -> str:
    """Digest of all that an adapter changes in what the engine says."""
    return digest_of({"bundle": bundle_id, "classes": [list(c) for c in classes], "tensors": tensors_sha256})


def digest_of(value: JsonValue) -> str:
    """sha256 of a JSON value in one canonical form: keys sorted, no spaces, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def to_json(record: Record) -> bytes:
    """The form on disk: indented, ends with a new line. Reads back equal."""
    return (record.model_dump_json(indent=2) + "\n").encode()


def what_is_wrong(error: ValidationError) -> str:
    """The first complaint of a validation as part of one line: where, what was expected."""
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"])) or "the text"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where}: {first['msg']}{more}"
