"""Every method by name: it learns two tasks, goes on from its state, and keeps its word about what it reads."""

from dataclasses import replace

import pytest
import torch

from cavs.adapt.methods.catalogue import METHODS, make_method
from cavs.adapt.methods.cmr import Cmr
from cavs.adapt.methods.method import Task
from cavs.adapt.methods.training import frozen_copy
from cavs.runtime.errors import ConfigError
from tests.tiny_segmenter import context, learn, some_rows, tiny

FIRST, SECOND = Task(0, 0, 1), Task(1, 1, 1)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_learns_two_tasks_resumed_between_them(name: str, tmp_path: object) -> None:
    segmenter = tiny()
    first = make_method(name)
    learn(first, context(segmenter, FIRST, [some_rows()], uni_modal=lambda: frozen_copy(segmenter)), steps=2, rate=1e-3)
    torch.save(first.state(), f"{tmp_path}/state.pt")
    method = make_method(name)
    method.load(torch.load(f"{tmp_path}/state.pt", weights_only=True))
    assert method.memory_clips() == first.memory_clips()
    assert (method.reads == "memory") == bool(method.memory_clips())
    rows = some_rows(labels=(0, 1, 2), seed=1, outputs=3)
    rows = replace(rows, rehearsed=torch.tensor([False, False, False, False]))
    where = context(segmenter, SECOND, [rows], frozen_copy(segmenter), lambda: frozen_copy(segmenter))
    terms = learn(method, where, steps=2, rate=1e-3)
    assert all(torch.isfinite(term) for step in terms for term in step.values())
    assert segmenter.classifier.classes == 2
    assert set(method.rehearsal(1, 4) if not isinstance(method, Cmr) else ()) <= set(method.memory_clips())


def test_an_unknown_method_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="'plopp' is unknown; known: fine-tuning, joint, lwf"):
        make_method("plopp")


def test_options_are_replaced_by_name_and_checked() -> None:
    method = make_method("cmr", {"per_class": 10})
    assert isinstance(method, Cmr)
    assert method.options.per_class == 10
    with pytest.raises(ConfigError, match="unknown option per_clas; known: per_class, criterion"):
        make_method("cmr", {"per_clas": 10})
    with pytest.raises(ConfigError, match="criterion"):
        make_method("cmr", {"criterion": "best"})


def test_exemplar_free_methods_say_so() -> None:
    free = {name for name in METHODS if make_method(name).reads == "current"}
    assert free == {
        "fine-tuning", "lwf", "lwf-mc", "ilt", "ewc", "pi", "rw", "mas", "mib", "plop", "ssul", "ewf-mib", "ewf-plop",
        "o-lora", "inf-lora", "lra", "lra-delta", "lra-stream",
    }  # fmt: skip
