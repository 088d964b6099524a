"""What a network is made of: one frozen, checked object that a checkpoint carries as JSON."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

EarPairs = Literal["voices", "listener"]


class NetworkConfig(BaseModel):
    """The form of a network. Two networks of one config have the same tensors.

    visual: `mobilenet_v2`, or `timm:<name>`, for which timm must be installed.
    audio: `mn04` (EfficientAT) or `vggish`; both hear 16 kHz.
    stride4 .. stride32: widths of the four levels of the head.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    visual: str = Field(default="mobilenet_v2", pattern=r"^(mobilenet_v2|timm:.+)$")
    audio: Literal["mn04", "vggish"] = "mn04"
    frame_height_px: int = Field(default=224, ge=64, multiple_of=32)
    frame_width_px: int = Field(default=224, ge=64, multiple_of=32)
    sound_rate_hz: Literal[16_000] = 16_000
    sound_samples: int = Field(default=32_000, ge=2_560)
    stride4: int = Field(default=32, ge=8)
    stride8: int = Field(default=64, ge=8)
    stride16: int = Field(default=96, ge=8)
    stride32: int = Field(default=96, ge=8)
    token_width: int = Field(default=128, ge=8)
    token_layers: int = Field(default=2, ge=1)
    attention_heads: int = Field(default=4, ge=1)
    voices: int = Field(default=4, ge=1)
    """How many sounds at once the audio side can tell apart."""
    embedding_width: int = Field(default=64, ge=2)
    class_capacity: int = Field(default=128, ge=1, le=254)
    """Rows of the class table; labels 0 and 1 of the uint8 label map are silent and unknown."""
    lora_rank: int = Field(default=8, ge=1)
    ear_pairs: EarPairs = "voices"
    """Where the LoRA pairs of the ear begin: where its voices are named, or at the first layer behind the sound encoder."""

    @model_validator(mode="after")
    def _heads_divide_widths(self) -> "NetworkConfig":
        for name in ("stride16", "stride32", "token_width"):
            if getattr(self, name) % self.attention_heads:
                raise ValueError(f"{name} {getattr(self, name)} is not a multiple of attention_heads {self.attention_heads}")
        return self
