"""The running mean of a network's weights: steadier than the weights themselves, and what is scored and shipped."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

SETTLING_STEPS = 10  # the first steps weigh more, so that the random start is soon forgotten


class RunningMean:
    """Exponential mean of every floating tensor of a network; others (counters) are copied."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors: dict[str, Tensor] = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Takes in the weights after `step` steps."""
        decay = min(self.decay, (1 + step) / (SETTLING_STEPS + step))
        current = network.state_dict()
        floating = [name for name, tensor in self.tensors.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([self.tensors[name] for name in floating], [current[name] for name in floating], 1 - decay)
        for name, tensor in self.tensors.items():
            if not tensor.is_floating_point():
                tensor.copy_(current[name])

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])
