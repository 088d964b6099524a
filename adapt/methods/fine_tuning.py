"""Fine-tuning: the lower bound, and the plain behaviour that other methods change."""

import torch.nn.functional as F
from torch import Tensor

from cavs.adapt.methods.method import IGNORED, Reads, State, Step, TaskContext, Terms


def row_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each frame (B,), a mean over its labelled pixels; 0 for a frame without any."""
    per_pixel = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="none")
    labelled = (labels != IGNORED).sum((1, 2)).clamp_min(1)
    return per_pixel.sum((1, 2)) / labelled


class FineTuning:
    """Cross-entropy on the current clips and nothing else."""

    reads: Reads = "current"

    def begin_task(self, context: TaskContext) -> None:
        if context.task.new:
            context.segmenter.classifier.grow(context.task.new)

    def rehearsal(self, epoch: int, clips: int) -> list[str]:
        return []

    def prepare(self, step: Step) -> None:
        return

    def loss(self, step: Step) -> Terms:
        return {"task": row_cross_entropy(step.said.logits, step.rows.labels).mean()}

    def after_backward(self, step: Step) -> None:
        return

    def after_step(self, step: Step) -> None:
        return

    def end_task(self, context: TaskContext) -> None:
        return

    def memory_clips(self) -> tuple[str, ...]:
        return ()

    def collisions(self) -> list[tuple[int, int, int]]:
        return []

    def state(self) -> State:
        return {}

    def load(self, state: State) -> None:
        return
