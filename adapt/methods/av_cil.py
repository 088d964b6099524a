"""AV-CIL (Pian et al., ICCV 2023), its losses brought from clips to pixels (our reading where the paper classifies clips)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cavs.adapt.methods.cross_sdc import clip_numbers, same, symmetric_contrast
from cavs.adapt.methods.fine_tuning import FineTuning, row_cross_entropy
from cavs.adapt.methods.layered import substate
from cavs.adapt.methods.memory import Exemplars
from cavs.adapt.methods.method import IGNORED, Reads, State, Step, TaskContext, Terms


@dataclass(frozen=True, slots=True)
class AvCilOptions:
    """instance: .5 on AVE, .1 on the larger sets. attention: of the distillation of attention maps. memory: clips in all."""

    instance: float = 0.5
    classes: float = 1.0
    attention: float = 0.5
    temperature: float = 0.05
    distillation_temperature: float = 2.0
    memory: int = 340


def separated_cross_entropy(logits: Tensor, labels: Tensor, old: int, rehearsed: Tensor) -> Tensor:
    """New frames compete among background and new outputs, rehearsed ones among background and old: neither side can push
    the other down. Pixels of the other side's classes are left out. Frames weigh the same."""
    sides = (
        (rehearsed, torch.arange(0, 1 + old)),
        (~rehearsed, torch.cat([torch.zeros(1, dtype=torch.long), torch.arange(1 + old, logits.shape[1])])),
    )
    losses = []
    for chosen, outputs in sides:
        outputs = outputs.to(labels.device)  # noqa: PLW2901  the same outputs, elsewhere
        place = torch.full((IGNORED + 1,), IGNORED, device=labels.device)
        place[outputs] = torch.arange(len(outputs), device=labels.device)
        losses.append(row_cross_entropy(logits[chosen][:, outputs], place[labels[chosen]]).sum())
    return torch.stack(losses).sum() / len(labels)


def task_wise_distillation(logits: Tensor, old_logits: Tensor, sizes: tuple[int, ...], temperature: float) -> Tensor:
    """KL divergence within the outputs of each earlier task, softened; a mean over pixels and tasks. A task of one class has
    nothing to compare within, so the background goes with every task."""
    terms, start = [], 1
    for size in sizes:
        outputs = [0, *range(start, start + size)]
        new = (logits[:, outputs] / temperature).log_softmax(1)
        before = (old_logits[:, outputs] / temperature).log_softmax(1)
        divergence = F.kl_div(new, before, reduction="none", log_target=True).sum(1).mean()
        terms.append(temperature**2 * divergence)
        start += size
    return torch.stack(terms).mean()


def attention_distillation(step: Step) -> Tensor:
    """KL divergence from the old attention maps to the new ones on rehearsed frames, a mean over maps."""
    chosen = step.rows.rehearsed
    parts = [
        F.kl_div(new[chosen].clamp_min(1e-8).log(), old[chosen], reduction="batchmean")
        for new, old in zip(step.said.attention, step.old_said.attention, strict=True)
    ]
    return torch.stack(parts).mean()


class AvCil(FineTuning):
    """Separated softmax, task-wise distillation, dual audio-visual contrast, attention distillation, a random memory that
    all classes share equally."""

    reads: Reads = "memory"

    def __init__(self, options: AvCilOptions | None = None) -> None:
        self.options = options or AvCilOptions()
        self.memory = Exemplars()

    def rehearsal(self, epoch: int, clips: int) -> list[str]:
        return list(self.memory.clips())

    def loss(self, step: Step) -> Terms:
        options, rows, said = self.options, step.rows, step.said
        senses = list(said.senses.values())
        terms = {"task": separated_cross_entropy(said.logits, rows.labels, step.task.old, rows.rehearsed)}
        for name, weight, positive in (
            ("instance", options.instance, same(clip_numbers(step))),
            ("class", options.classes, same(rows.classes)),
        ):
            terms[name] = weight * symmetric_contrast(senses[0], senses[1], positive, options.temperature)
        if step.old is not None:
            sizes = step.old.classifier.sizes
            terms["distillation"] = task_wise_distillation(
                said.logits, step.old_said.logits, sizes, options.distillation_temperature
            )
            if rows.rehearsed.any() and said.attention:
                terms["attention"] = options.attention * attention_distillation(step)
        return terms

    def end_task(self, context: TaskContext) -> None:
        self.memory.rebalance(context, self.options.memory)

    def memory_clips(self) -> tuple[str, ...]:
        return self.memory.clips()

    def state(self) -> State:
        return {"memory": self.memory.state()}

    def load(self, state: State) -> None:
        self.memory.load(substate(state, "memory"))
