"""Attention: among the tokens of the sound, and from pixels to the tokens. Plain products, which every engine takes."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cavs.adapt.model.lora import Dense


class Attention(nn.Module):
    """Multi-head attention: queries (B, Q, C) look at keys (B, T, E) and return (B, Q, C)."""

    def __init__(self, width: int, key_width: int, heads: int, linear: type[nn.Linear]) -> None:
        super().__init__()
        self.heads = heads
        self.query = linear(width, width)
        self.key = linear(key_width, width, bias=False)
        self.value = linear(key_width, width)
        self.out = linear(width, width)

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        query, key, value = self._split(self.query(queries)), self._split(self.key(keys)), self._split(self.value(keys))
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        heard = torch.softmax(scores, dim=-1) @ value
        out: Tensor = self.out(heard.transpose(1, 2).flatten(2))
        return out


class AttentionBlock(nn.Module):
    """Attention and a two-layer perceptron, each normalised before and added to its input.

    linear: the class of its linear layers; `Dense` where they shall carry LoRA pairs.
    """

    def __init__(self, width: int, key_width: int, heads: int, linear: type[nn.Linear]) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, key_width, heads, linear)
        self.norm_mlp = nn.LayerNorm(width)
        self.widen = linear(width, 2 * width)
        self.narrow = linear(2 * width, width)

    def forward(self, x: Tensor, keys: Tensor | None = None) -> Tensor:
        queries = self.norm(x)
        x = x + self.attention(queries, queries if keys is None else keys)
        mixed: Tensor = self.narrow(F.gelu(self.widen(self.norm_mlp(x)), approximate="tanh"))
        return x + mixed


class PixelAttention(nn.Module):
    """The same block with the pixels of a map (B, C, h, w) as queries. It can carry LoRA pairs."""

    def __init__(self, width: int, key_width: int, heads: int) -> None:
        super().__init__()
        self.block = AttentionBlock(width, key_width, heads, Dense)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        pixels: Tensor = self.block(x.flatten(2).transpose(1, 2), tokens)
        return pixels.transpose(1, 2).reshape(x.shape)
