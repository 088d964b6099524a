"""The sound as the picture needs it: tokens, a context that conditions the visual stages, and one vector per voice."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cavs.adapt.model.attention import AttentionBlock
from cavs.adapt.model.config import NetworkConfig
from cavs.adapt.model.lora import Dense


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What was heard in B sounds.

    tokens:  (B, T, E), keys and values for the pixels; the first is the null token, for pixels that nothing explains.
    context: (B, E), the sound as a whole.
    voices:  (B, V, D), float32 unit vectors in the space of the class table, one for each of up to V sounds at once.
    """

    tokens: Tensor
    context: Tensor
    voices: Tensor


class Listener(nn.Module):
    """Encoder tokens (B, T, width) -> Heard.

    A learned embedding of its time is added to every token, so that what sounds now can be told from what sounded a second
    ago. Learned tokens for the context, the voices and `nothing` attend with them.
    """

    def __init__(self, config: NetworkConfig, width: int, groups: tuple[int, ...]) -> None:
        super().__init__()
        self.groups = groups
        self.voices = config.voices
        inner = config.token_width
        self.adapted = config.ear_pairs == "listener"
        linear: type[nn.Linear] = Dense if self.adapted else nn.Linear
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in groups)
        self.projections = nn.ModuleList(linear(width, inner) for _ in groups)
        self.time = nn.Parameter(0.02 * torch.randn(sum(groups), inner))
        self.learned = nn.Parameter(torch.randn(2 + config.voices, inner) * inner**-0.5)
        self.blocks = nn.ModuleList(
            AttentionBlock(inner, inner, config.attention_heads, linear) for _ in range(config.token_layers)
        )
        self.norm = nn.LayerNorm(inner)
        self.to_voice = nn.Sequential(Dense(inner, inner), nn.GELU("tanh"), Dense(inner, config.embedding_width))

    def early(self, encoded: Tensor) -> Tensor:
        """What the layers below the first LoRA pair make of encoder tokens: the same for every adapter, so it can be kept."""
        return encoded if self.adapted else self._attend(encoded)

    def late(self, early: Tensor) -> Heard:
        """What `early` gave -> Heard."""
        return self._name(self._attend(early) if self.adapted else early)

    def voice_part(self, early: Tensor) -> Tensor:
        """Of what `early` gave, what the voices come of."""
        return early if self.adapted else self._at_voices(early)

    def voices_of(self, part: Tensor) -> Tensor:
        """What `voice_part` left -> only the voices of `late`."""
        return self._named(self._at_voices(self._attend(part)) if self.adapted else part)

    def forward(self, encoded: Tensor) -> Heard:
        return self._name(self._attend(encoded))

    def _attend(self, encoded: Tensor) -> Tensor:
        """Encoder tokens -> context, voices and tokens (B, 1 + V + 1 + T, E)."""
        parts = torch.split(encoded, list(self.groups), dim=1)
        projected = [project(norm(part)) for norm, project, part in zip(self.norms, self.projections, parts, strict=True)]
        tokens = torch.cat(projected, dim=1) + self.time
        x = torch.cat([self.learned.expand(tokens.shape[0], -1, -1), tokens], dim=1)
        for block in self.blocks:
            x = block(x)
        attended: Tensor = self.norm(x)
        return attended

    def _at_voices(self, attended: Tensor) -> Tensor:
        return attended[:, 1 : 1 + self.voices]

    def _named(self, voices: Tensor) -> Tensor:
        """In the space of the class table."""
        return F.normalize(self.to_voice(voices).float(), dim=-1)

    def _name(self, x: Tensor) -> Heard:
        return Heard(tokens=x[:, 1 + self.voices :], context=x[:, 0], voices=self._named(self._at_voices(x)))


class Conditioning(nn.Module):
    """Audio-guided pre-fusion conditioning, after ATLAS (arXiv 2603.08967): the context scales and shifts the channels.

    x (1 + tanh(scale)) + shift, both zero at start, so that it begins as the identity. The shift is ours.
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.project = nn.Linear(width, 2 * channels)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        both: Tensor = self.project(F.gelu(self.hidden(context), approximate="tanh"))[:, :, None, None]
        scale, shift = both.chunk(2, dim=1)
        return x * (1 + torch.tanh(scale)) + shift
