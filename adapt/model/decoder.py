"""Seen and heard together -> which pixels sound, from coarse to fine."""

from torch import Tensor, nn
from torch.nn import functional as F

from cavs.adapt.model.attention import PixelAttention
from cavs.adapt.model.conditioning import Conditioning, Heard
from cavs.adapt.model.config import NetworkConfig
from cavs.adapt.model.lora import PointwiseConv
from cavs.adapt.model.neck import Refine, Seen, enlarge

EVIDENCE = 3
"""Maps that compare what is seen with what is heard (`heads.Evidence`), joined at stride 8."""
PRIOR_LOGIT = -2.0
"""A pixel sounds with probability .12 before anything is learned: masks are small."""


class SoundingDecoder(nn.Module):
    """Pyramid conditioned by the sound, attention to its tokens at strides 32 and 16, refinement to stride 4."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width, heads = config.token_width, config.attention_heads
        self.condition4 = Conditioning(width, config.stride4)
        self.condition8 = Conditioning(width, config.stride8)
        self.condition16 = Conditioning(width, config.stride16)
        self.condition32 = Conditioning(width, config.stride32)
        self.attend32 = PixelAttention(config.stride32, width, heads)
        self.attend16 = PixelAttention(config.stride16, width, heads)
        self.down16 = PointwiseConv(config.stride32, config.stride16)
        self.down8 = PointwiseConv(config.stride16, config.stride8)
        self.down4 = nn.Conv2d(config.stride8, config.stride4, 1)
        self.evidence8 = nn.Conv2d(EVIDENCE, config.stride8, 1)
        self.refine16 = Refine(config.stride16)
        self.refine8 = nn.Sequential(Refine(config.stride8), Refine(config.stride8))
        self.refine4 = nn.Sequential(Refine(config.stride4), Refine(config.stride4))
        self.sounding = nn.Conv2d(config.stride4, 1, 1)
        nn.init.constant_(self.sounding.bias, PRIOR_LOGIT)  # type: ignore[arg-type]

    def forward(self, seen: Seen, heard: Heard, evidence: Tensor) -> Tensor:
        """Gives the sounding logit (P, 1, H / 4, W / 4); evidence: (P, EVIDENCE, H / 8, W / 8)."""
        context = heard.context
        x32 = self.attend32(self.condition32(seen.stride32, context), heard.tokens)
        x16 = self.condition16(seen.stride16, context) + enlarge(self.down16(x32))
        x16 = self.refine16(self.attend16(x16, heard.tokens))
        x8 = self.condition8(seen.stride8, context) + enlarge(self.down8(x16))
        x8 = self.refine8(F.relu(x8 + self.evidence8(evidence.to(x8.dtype))))
        x4 = self.refine4(F.relu(self.condition4(seen.stride4, context) + enlarge(self.down4(x8))))
        logit: Tensor = self.sounding(x4)
        return logit.float()
