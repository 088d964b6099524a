"""DER++, dark experience replay (Buzzega et al., NeurIPS 2020, arXiv 2004.07211)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cavs.adapt.methods.anchored import tensors
from cavs.adapt.methods.er import Er, ErOptions
from cavs.adapt.methods.fine_tuning import row_cross_entropy
from cavs.adapt.methods.method import State, Step, TaskContext, Terms


@dataclass(frozen=True, slots=True)
class DerOptions:
    """logits, labels: weights of the two terms on rehearsed frames, alpha and beta of the paper."""

    memory: int = 200
    share: float = 1.0
    logits: float = 0.1
    labels: float = 0.5


class DerPlusPlus(Er):
    """Replay that also holds the network to what it said about a clip when that was new.

    The paper keeps the logits of the moment a sample enters the reservoir. Clips here are seen for many epochs, so those at the
    end of their task are kept (our reading). Outputs that came later are not compared.
    """

    def __init__(self, options: DerOptions | None = None) -> None:
        chosen = options or DerOptions()
        super().__init__(ErOptions(chosen.memory, chosen.share))
        self.weights = chosen
        self.said: dict[str, Tensor] = {}

    def loss(self, step: Step) -> Terms:
        rows, logits = step.rows, step.said.logits
        per_row = row_cross_entropy(logits, rows.labels)
        fresh = ~rows.rehearsed
        terms = {"task": (per_row * fresh).sum() / fresh.sum().clamp_min(1)}
        if rows.rehearsed.any():
            terms["labels"] = self.weights.labels * per_row[rows.rehearsed].mean()
            terms["logits"] = self.weights.logits * self._dark_distance(step)
        return terms

    def _dark_distance(self, step: Step) -> Tensor:
        """Mean over rehearsed frames of the mean squared distance to what was said then."""
        distances = []
        for index in step.rows.rehearsed.nonzero().flatten().tolist():
            then = self.said[frame_key(step.rows.clips[index], step.rows.frames[index])]
            distances.append((step.said.logits[index, : len(then)] - then.to(step.said.logits.device)).square().mean())
        return torch.stack(distances).mean()

    @torch.no_grad()
    def end_task(self, context: TaskContext) -> None:
        super().end_task(context)
        kept = set(self.reservoir.kept)
        self.said = {key: logits for key, logits in self.said.items() if key.rpartition("#")[0] in kept}
        context.segmenter.eval()
        for step in context.steps():
            for index, clip in enumerate(step.rows.clips):
                if clip in kept:
                    self.said[frame_key(clip, step.rows.frames[index])] = step.said.logits[index].detach().cpu().clone()
        context.segmenter.train()

    def state(self) -> State:
        return {**super().state(), "said": dict(self.said)}

    def load(self, state: State) -> None:
        super().load(state)
        self.said = tensors(state, "said")


def frame_key(clip: str, frame: int) -> str:
    return f"{clip}#{frame}"
