"""A segmenter of a few hundred weights and data to learn from in milliseconds."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from cavs.adapt.methods.classifier import GrowingClassifier
from cavs.adapt.methods.method import Inputs, Method, Rows, Said, Segmenter, Step, Task, TaskContext
from cavs.adapt.methods.training import frozen_copy
from cavs.adapt.model.lora import Dense, PointwiseConv, attach_lora

SIDE, WIDTH, HEARD = 8, 6, 4


class TinySegmenter(Segmenter):
    """Pointwise layers with LoRA pairs; the sound scales the channels."""

    def __init__(self, rank: int = 2) -> None:
        super().__init__()
        self.see = PointwiseConv(3, WIDTH)
        self.mix = PointwiseConv(WIDTH, WIDTH)
        self.hear = Dense(HEARD, WIDTH)
        self.classifier = GrowingClassifier(WIDTH)
        attach_lora(self, rank)

    def forward(self, inputs: Inputs) -> Said:
        seen = torch.tanh(self.see(inputs.pictures[0].float() / 255))
        heard = torch.tanh(self.hear(inputs.sounds[0]))
        mixed = torch.tanh(self.mix(seen * (1 + heard[:, :, None, None])))
        attention = torch.einsum("bchw,bc->bhw", seen, heard).flatten(1).softmax(1)
        senses = {"audio": heard, "visual": seen.mean((2, 3))}
        return Said(self.classifier(mixed), (seen, mixed), senses, (attention,))

    def muted(self, inputs: Inputs) -> Inputs:
        return Inputs(inputs.pictures, (torch.zeros_like(inputs.sounds[0]),))


def tiny(classes: Sequence[int] = (), seed: int = 0) -> TinySegmenter:
    """Grown by each of `classes` in turn."""
    torch.manual_seed(seed)
    segmenter = TinySegmenter()
    for count in classes:
        segmenter.classifier.grow(count)
    return segmenter


def some_rows(count: int = 4, labels: Sequence[int] = (0, 1), seed: int = 0, outputs: int | None = None) -> Rows:
    """Frames whose pixels carry the colour of their label, half of them background; frame n is clip n."""
    rng = np.random.default_rng(seed)
    mask = rng.choice(labels, (count, SIDE, SIDE))
    colours = np.random.default_rng(99).uniform(0, 255, (256, 3))
    pictures = torch.from_numpy(colours[mask].astype(np.float32)).permute(0, 3, 1, 2)
    width = outputs or 1 + max([label for label in labels if label != 255], default=0)
    present = np.array([[k in row for k in range(width)] for row in mask])
    present[:, 0] = False
    return Rows(
        inputs=Inputs((pictures,), (torch.from_numpy(rng.normal(size=(count, HEARD)).astype(np.float32)),)),
        labels=torch.from_numpy(mask),
        clips=tuple(f"clip{seed}-{n}" for n in range(count)),
        frames=(0,) * count,
        rehearsed=torch.zeros(count, dtype=torch.bool),
        classes=torch.from_numpy(present),
    )


def context(
    segmenter: Segmenter,
    task: Task,
    rows: Iterable[Rows] = (),
    old: Segmenter | None = None,
    uni_modal: Callable[[], Segmenter] | None = None,
) -> TaskContext:
    kept = tuple(rows)
    return TaskContext(task, segmenter, old, lambda: kept, np.random.default_rng(0), uni_modal)


def second_step(rows: Rows | None = None, old: int = 2, new: int = 1) -> Step:
    """A step of the second task: a network that has moved on from its frozen predecessor."""
    before = frozen_copy(tiny((old,)))
    segmenter = tiny((old,))
    segmenter.classifier.grow(new)
    stir(segmenter)
    return Step(rows or some_rows(labels=(0, old + new)), Task(1, old, new), segmenter, before)


def stir(segmenter: Segmenter, spread: float = 0.1, seed: int = 5) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in segmenter.parameters():
            parameter.add_(spread * torch.randn(parameter.shape, generator=generator))


def learn(method: Method, where: TaskContext, steps: int = 3, rate: float = 0.1) -> list[dict[str, Tensor]]:
    """A whole task in the trainer's order."""
    from cavs.adapt.methods.training import learn_step

    method.begin_task(where)
    optimiser = torch.optim.SGD([p for p in where.segmenter.parameters() if p.requires_grad], lr=rate)
    terms = [learn_step(method, step, optimiser) for _ in range(steps) for step in where.steps()]
    method.end_task(where)
    return terms
