"""Our network with a growing classifier: the papers' semantic maps from the shipped encoders, neck, listener and decoder.

The encoders are frozen and see every frame and hear every sound once (`encode`); neck, listener, decoder and classifier learn.
The class table takes no part, so of the decoder's evidence only that of the voices is there. The decoder says where it
sounds, not what, so the classifier also reads the embedding of each pixel, as far as the pixel sounds.
"""

import torch
from torch import Tensor, nn

from cavs.adapt.methods.classifier import GrowingClassifier
from cavs.adapt.methods.method import Inputs, Said, Segmenter
from cavs.adapt.model.heads import Matching
from cavs.adapt.model.lora import DOWN, UP, attach_lora, detach_lora, fold_lora
from cavs.adapt.model.neck import enlarge
from cavs.adapt.model.network import Network

CONDITIONED = ("condition4", "condition8", "condition16", "condition32")
"""Parts of the decoder that ATLAS's pre-fusion conditioning is."""


class Unconditioned(nn.Module):
    """Stands where conditioning was."""

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        return x


class NetworkSegmenter(Segmenter):
    """Labels at a quarter of the frame's size. Takes the network over.

    seed: of the classifier. conditioning: False leaves out the sound's hold on the channels before the attention.
    encoder_lora: fresh pairs in the visual encoder learn, as in ATLAS; only raw inputs reach them.
    """

    label_stride = 4

    def __init__(self, network: Network, seed: int = 0, *, conditioning: bool = True, encoder_lora: bool = False) -> None:
        super().__init__()
        self.visual, self.audio = network.visual, network.audio
        self.neck, self.listener, self.decoder = network.neck, network.listener, network.decoder
        self.sounding: nn.Module = self.decoder.sounding
        self.decoder.sounding = nn.Identity()  # type: ignore[assignment]
        if not conditioning:
            for name in CONDITIONED:
                setattr(self.decoder, name, Unconditioned())
        torch.manual_seed(seed)
        self.classifier = GrowingClassifier(network.config.stride4 + network.config.embedding_width)
        self.sound_samples = network.config.sound_samples
        self.frame_size = (network.config.frame_height_px, network.config.frame_width_px)
        for encoder in (self.visual, self.audio):
            fold_lora(encoder)  # what an adapter had made of them is kept, but they learn no more
            detach_lora(encoder)
            encoder.requires_grad_(False)
        self._encoder_learns = encoder_lora
        if encoder_lora:
            attach_lora(self.visual, network.config.lora_rank)
        self._silence: Tensor | None = None
        self._taking_statistics = False

    def take_statistics(self, take: bool) -> None:
        """Whether normalisation behind the encoders takes statistics while learning: once, before the first task."""
        self._taking_statistics = take
        self.train(self.training)

    def train(self, mode: bool = True) -> "NetworkSegmenter":
        """Encoders stay as they are, and statistics of normalisation too: tasks are small and one-sided."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d) and not self._taking_statistics:
                module.eval()
        self.visual.eval()
        self.audio.eval()
        return self

    def learn_again(self) -> None:
        """Everything that may learn does, after it was frozen."""
        for part in (self.neck, self.listener, self.decoder, self.sounding, self.classifier):
            part.requires_grad_(True)
        for name, parameter in self.visual.named_parameters():
            parameter.requires_grad_(self._encoder_learns and name.endswith((DOWN, UP)))

    @torch.no_grad()
    def encode(self, inputs: Inputs) -> Inputs:
        """Raw inputs as the frozen encoders have them."""
        self.train(self.training)
        return Inputs(tuple(self.visual(inputs.pictures[0])), (self.audio(inputs.sounds[0]),), encoded=True)

    def encoded(self, inputs: Inputs) -> Inputs:
        """As `encode`, with gradients for the pairs of the visual encoder where they learn."""
        if not self._encoder_learns:
            return self.encode(inputs)
        with torch.no_grad():
            tokens = self.audio(inputs.sounds[0])
        return Inputs(tuple(self.visual(inputs.pictures[0])), (tokens,), encoded=True)

    def muted(self, inputs: Inputs) -> Inputs:
        if not inputs.encoded:
            return Inputs(inputs.pictures, (torch.zeros_like(inputs.sounds[0]),))
        tokens = inputs.sounds[0]
        if self._silence is None:
            with torch.no_grad():
                self._silence = self.audio(torch.zeros(1, self.sound_samples, device=tokens.device))
        return Inputs(inputs.pictures, (self._silence.to(tokens).expand_as(tokens),), encoded=True)

    def forward(self, inputs: Inputs) -> Said:
        if not inputs.encoded:
            inputs = self.encoded(inputs)
        seen, heard = self.neck(inputs.pictures), self.listener(inputs.sounds[0])
        pixels = seen.embedding.permute(0, 2, 3, 1)  # (B, h, w, D)
        voice = (pixels.flatten(1, 2) @ heard.voices.transpose(1, 2)).amax(2)  # (B, h w)
        match = voice.reshape(pixels.shape[:3])[:, None]
        evidence = torch.cat([torch.zeros_like(match), torch.zeros_like(match), match], dim=1)
        features = self.decoder(seen, heard, evidence)
        shown = seen.embedding.shape[1] ** 0.5 * enlarge(seen.embedding)  # unit vectors as channels of about 1
        features = torch.cat([features, self.sounding(features).sigmoid() * shown], dim=1)
        attention = (Matching.VOICE_SCALE * voice).softmax(1)
        looked_at = (attention[:, :, None] * pixels.flatten(1, 2)).sum(1)
        senses = {"audio": heard.voices.mean(1), "visual": looked_at}
        return Said(self.classifier(features), (seen.stride16, seen.stride8, features), senses, (attention,))
