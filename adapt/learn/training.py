"""One lesson: new rows of the class table and the LoRA pairs learn from a few seconds; the parent is held on to.

What learns is the adapter alone. Three things hold the rest: old rows do not move; LRA (arXiv 2603.08967) weighs every change
of a pair's product by how much the loss on known things feels it; and where a picture or a sound holds nothing new, the answers
of the parent, its embedding of every pixel included, are what is aimed at. Nothing of the classes in old photographs is needed.
"""

import copy
import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cavs.adapt.learn.collided import collided
from cavs.adapt.learn.exemplar import Exemplar
from cavs.adapt.learn.features import fold_norms
from cavs.adapt.learn.first_rows import NewRows, rows_with
from cavs.adapt.learn.from_bundle import put_adapter
from cavs.adapt.learn.lesson_loss import Batch, LessonLoss, Parent
from cavs.adapt.learn.options import LearnOptions
from cavs.adapt.learn.pairing import Pairing
from cavs.adapt.learn.pool import Composer, Pool, join
from cavs.adapt.learn.rehearsal import rehearsal_of
from cavs.adapt.methods.anchored import quadratic_penalty
from cavs.adapt.methods.lra import mean_one_per_layer, products
from cavs.adapt.model.lora import DOWN, UP, Adaptable, adapted_layers
from cavs.adapt.model.network import Network, adapter_tensors
from cavs.runtime.adapter import Adapter, make_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.errors import AdaptError, TrainingStopped

METHOD = "lesson"
COMPOSED_AT_ONCE = 6
"""Pictures composed in one step, before learning begins."""

Arrays = Mapping[str, npt.NDArray[np.generic]]


class LessonTraining:
    """Composes the lesson's pool, then learns from it, one `step` at a time.

    Equal arguments give equal candidates. A class that exemplars mark and the parent does not know gets a row.
    forgot: what an earlier candidate forgot; it is shown and heard as often as what every window collides with.
    Raises AdaptError if the table has no free row, or if there is nothing to learn from.
    """

    def __init__(  # noqa: PLR0917  what a lesson is
        self,
        network: Network,
        parent: Adapter,
        new: Sequence[Exemplar],
        memory: Sequence[Exemplar] = (),
        options: LearnOptions | None = None,
        seed: int = 0,
        forgot: Sequence[str] = (),
    ) -> None:
        if not new:
            raise AdaptError("a lesson without exemplars: nothing to learn from")
        self.options = options or LearnOptions()
        self.parent, self.seed = parent, seed
        self.network = copy.deepcopy(network).eval()
        fold_norms(self.network)
        put_adapter(self.network, parent)
        self.rows = rows_with(parent, tuple(name for one in (*new, *memory) for name in one.names))
        self._new_rows = NewRows(self.network, self.rows, parent)
        known = tuple(name for _, name in parent.classes)
        often = collided(self.network, new, {name: row for row, name in parent.classes}) | dict.fromkeys(forgot, 1.0)
        self.composer = Composer(self.network, new, memory, known, self.options, seed, often)
        self._print = _fingerprint(parent, (*new, *memory), f"{self.options.model_dump_json()} {seed} {sorted(forgot)}")
        self._parts: list[Pool] = []
        self._pool: Pool | None = None
        self._pairing: Pairing | None = None
        self._importance: dict[str, Tensor] = {}
        learning = {f"{name}.weight" for name, _ in self._learning_layers()}
        self._anchor = {name: product.detach() for name, product in products(self.network).items() if name in learning}
        places = [self._new_rows.place(name) for name in self.composer.columns]
        self._known = Parent(self.network, self._new_rows.before())
        self._loss = LessonLoss(self.network, self._known, places, self._new_columns(), self.options)
        rehearsal = rehearsal_of(self.network) if self.options.rehearsed else None
        rehearsal = rehearsal.of([name for name in known if name not in self.composer.taught]) if rehearsal else None
        if rehearsal is not None:
            self._loss.rehearse(rehearsal, [self._new_rows.place(name) for name in rehearsal.names])
        self._rehearsed = len(rehearsal.voices) if rehearsal is not None else 0
        self._parameters = self._free_parameters()
        self._optimiser = torch.optim.AdamW(
            [
                {"params": [p for name, p in self._parameters.items() if name != "rows"], "lr": self.options.pair_rate},
                {"params": [self._parameters["rows"]], "lr": self.options.row_rate},
            ],
            weight_decay=0.0,
        )
        self._rates = [group["lr"] for group in self._optimiser.param_groups]
        self.done = 0

    @property
    def composing(self) -> int:
        """Steps that compose and learn nothing."""
        return -(-self.options.pool // COMPOSED_AT_ONCE)

    @property
    def steps(self) -> int:
        """All of them."""
        return self.composing + self.options.steps

    def step(self) -> dict[str, float]:
        """Makes one step. The weighted losses, by name; none while the pool is composed, or composed again after `load`."""
        if self._pool is None:
            self._compose()
            self.done = max(self.done, len(self._parts) or self.composing)
            return {}
        losses = self._learn(self.done - self.composing)
        self.done += 1
        return losses

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Everything but the pool, which is composed again from the same seed."""
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "done": np.array([self.done], np.int64),
            "fingerprint": np.frombuffer(self._print, np.uint8).copy(),
        }
        for name, parameter in self._parameters.items():
            arrays[f"value.{name}"] = parameter.detach().numpy().copy()
            for key, value in self._optimiser.state.get(parameter, {}).items():
                arrays[f"{key}.{name}"] = np.atleast_1d(value.detach().numpy().copy())
        return arrays

    def load(self, state: Arrays) -> None:
        """Goes on from a state. Raises TrainingStopped if it is of another training, or torn."""
        try:
            if bytes(state["fingerprint"].astype(np.uint8)) != self._print:
                raise TrainingStopped("the state is of another lesson, parent or option; begin again without it")
            with torch.no_grad():
                for name, parameter in self._parameters.items():
                    parameter.copy_(torch.from_numpy(np.array(state[f"value.{name}"])))
                    if f"exp_avg.{name}" in state:
                        self._optimiser.state[parameter] = {
                            "step": torch.tensor(float(state[f"step.{name}"][0])),
                            **{key: torch.from_numpy(np.array(state[f"{key}.{name}"])) for key in ("exp_avg", "exp_avg_sq")},
                        }
            self.done = int(state["done"][0])
        except (KeyError, ValueError, RuntimeError) as error:
            raise TrainingStopped(f"the state of the training cannot be read ({error}); begin again without it") from error

    def adapter(self, bundle: Bundle) -> Adapter:
        """The candidate as it is now: old rows are the parent's, to the last bit."""
        self._new_rows.give()
        tensors = adapter_tensors(self.network)
        for name in ("classes.table", "thresholds"):
            mine, theirs = tensors[name], self.parent.tensors[name]
            keep = np.ones(len(mine), bool)
            keep[self._new_rows.fresh if name == "classes.table" else []] = False
            tensors[name] = np.where(keep.reshape(-1, *[1] * (mine.ndim - 1)), theirs, mine)
        return make_adapter(
            tensors,
            bundle=bundle,
            classes=tuple((row, name) for name, row in self.rows.items()),
            method=METHOD,
            parent=self.parent.id,
        )

    def _new_columns(self) -> list[int]:
        taught = set(self.composer.taught)
        return [column for column, name in enumerate(self.composer.columns) if name in taught]

    def _free_parameters(self) -> dict[str, nn.Parameter]:
        """The LoRA pairs and the new rows; everything else is frozen."""
        for parameter in self.network.parameters():
            parameter.requires_grad_(False)
        pairs: dict[str, nn.Parameter] = {}
        for layer, module in self._learning_layers():
            for side in (DOWN, UP):
                parameter = getattr(module, side)
                parameter.requires_grad_(True)
                pairs[f"{layer}.{side}"] = parameter
        return {**pairs, "rows": self._new_rows.values}

    def _learning_layers(self) -> list[tuple[str, Adaptable]]:
        frozen = self.options.frozen
        return [(name, layer) for name, layer in adapted_layers(self.network).items() if not name.startswith(frozen)]

    def _compose(self) -> None:
        done, options = len(self._parts), self.options
        pictures, sounds = (
            range(total * done // self.composing, total * (done + 1) // self.composing)
            for total in (options.pool, options.heard)
        )
        self._parts.append(self.composer.part(pictures, sounds))
        if len(self._parts) < self.composing:
            return
        learned = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        resumed = self.done > self.composing
        put_adapter(self.network, self.parent)  # as it was, whatever has been learned before a restart
        self._pool = join(self._parts)
        self._parts = []
        self._pairing = Pairing(self._pool, self._new_columns())
        self._known.watch(self._pool)
        self._new_rows.begin(self._known, self._pool, self.composer.columns)
        self._importance = self._sensed()
        if resumed:
            with torch.no_grad():
                for name, parameter in self._parameters.items():
                    parameter.copy_(learned[name])

    def _batch(self, step: int) -> Batch:
        """Pictures of a step, each of the pool once in a round, in an order of its own; and the sounds."""
        assert self._pool is not None
        assert self._pairing is not None
        total, size = len(self._pool.looks), min(self.options.pictures, len(self._pool.looks))
        each = total // size
        order = np.random.default_rng([self.seed, 2, step // each]).permutation(total)
        pictures = torch.from_numpy(order[(step % each) * size : (step % each + 1) * size])
        return self._meeting(pictures, np.random.default_rng([self.seed, 3, step]))

    def _meeting(self, pictures: Tensor, rng: np.random.Generator) -> Batch:
        """These pictures with sounds that they meet, and other sounds: all, where no pair changes how they are attended to."""
        assert self._pool is not None
        assert self._pairing is not None
        met = self._pairing.draw(pictures, self.options.sounds, rng)
        several = [len(self._pool.listened), self._rehearsed]
        if self.network.config.ear_pairs == "voices":
            return Batch(pictures, met, *(torch.arange(count) for count in several))
        few = (rng.permutation(count)[: self.options.listened] for count in several)
        return Batch(pictures, met, *(torch.from_numpy(some) for some in few))

    def _learn(self, step: int) -> dict[str, float]:
        assert self._pool is not None
        for group, rate in zip(self._optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * _cycle(step / max(1, self.options.steps), self.options.warmup)
        terms = self._loss(self._pool, self._batch(step), self._new_rows.now())
        if self.options.held:
            penalty = quadratic_penalty(products(self.network), self._anchor, self._importance)
            terms["held"] = 0.5 * self.options.held * penalty
        total = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(total):
            raise TrainingStopped(f"step {step}: the loss is no number; the version that was live stays")
        self._optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(list(self._parameters.values()), self.options.clip_norm)
        self._optimiser.step()
        self._new_rows.give()
        return {name: float(term.detach()) for name, term in terms.items()}

    def _sensed(self) -> dict[str, Tensor]:
        """How much the loss on known things feels each entry of a pair's product: the gradient on W + B A is that on W."""
        if not self.options.held:
            return {}
        assert self._pool is not None
        weights = {f"{name}.weight": layer.weight for name, layer in self._learning_layers()}
        total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        for weight in weights.values():
            weight.requires_grad_(True)
        rng = np.random.default_rng([self.seed, 4])
        for picture in rng.permutation(len(self._pool.looks))[: self.options.sensed].tolist():
            met = self._meeting(torch.tensor([picture]), rng)
            terms = self._loss(self._pool, met, self._new_rows.now(), known_only=True)
            gradients = torch.autograd.grad(torch.stack(list(terms.values())).sum(), list(weights.values()), allow_unused=True)
            for name, gradient in zip(weights, gradients, strict=True):
                if gradient is not None:
                    total[name] += gradient.square()
        for weight in weights.values():
            weight.requires_grad_(False)
        return mean_one_per_layer({name: amount.flatten(1) for name, amount in total.items()})


def _cycle(at: float, warmup: float) -> float:
    """Share of the highest rate: up in a line, down in half a cosine."""
    if at < warmup:
        return at / warmup
    return 0.5 * (1 + math.cos(math.pi * (at - warmup) / max(1e-9, 1 - warmup)))


def _fingerprint(parent: Adapter, exemplars: Sequence[Exemplar], how: str) -> bytes:
    digest = hashlib.sha256(f"{parent.id} {how}".encode())
    for one in exemplars:
        digest.update(one.frame.data)
        digest.update(one.sound.data)
        for name, mask in one.marks:
            digest.update(name.encode())
            digest.update(np.packbits(mask).data)
    return digest.digest()
