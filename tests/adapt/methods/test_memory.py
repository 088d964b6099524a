"""What is kept of earlier tasks: lists per class, reservoirs, replay of clips, logits and instances."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cavs.adapt.methods.der import DerOptions, DerPlusPlus
from cavs.adapt.methods.eir import CutOut, Eir, EirOptions, paste
from cavs.adapt.methods.er import Er, ErOptions
from cavs.adapt.methods.memory import Exemplar, Exemplars, Reservoir, clips_by_class
from cavs.adapt.methods.method import Inputs, Rows, Step, Task
from cavs.adapt.methods.training import frozen_copy
from cavs.runtime.errors import ConfigError
from tests.tiny_segmenter import context, learn, some_rows, tiny

FIRST, SECOND = Task(0, 0, 1), Task(1, 1, 1)


def second_rows() -> Rows:
    return some_rows(labels=(0, 2), seed=1, outputs=3)


def rehearsed(rows: Rows) -> Rows:
    return replace(rows, rehearsed=torch.ones(len(rows.clips), dtype=torch.bool))


def test_a_clip_kept_for_two_classes_is_rehearsed_once_and_holds_both() -> None:
    memory = Exemplars()
    shared = Exemplar("duet", (1, 2))
    memory.add(1, [shared, Exemplar("solo", (1,))])
    memory.add(2, [shared])
    assert memory.clips() == ("duet", "solo")
    assert [one.clip for one in memory.holding(2)] == ["duet"]
    copy = Exemplars()
    copy.load(memory.state())
    assert copy.by_class == memory.by_class


def test_only_new_classes_choose_among_the_clips_of_a_task() -> None:
    rows = some_rows(labels=(0, 1, 2), outputs=3)
    found = clips_by_class(context(tiny((2,)), Task(1, 1, 1), [rows]))
    assert set(found) == {2}
    assert all(2 in one.classes for one in found[2])


def test_a_reservoir_keeps_every_clip_with_the_same_chance() -> None:
    counts = np.zeros(20)
    for seed in range(400):
        reservoir, rng = Reservoir(5), np.random.default_rng(seed)
        for clip in range(20):
            reservoir.place(str(clip), rng)
        counts[[int(clip) for clip in reservoir.kept]] += 1
    assert np.abs(counts / 400 - 5 / 20).max() < 0.08  # 3.7 standard deviations of one clip's share


def test_a_reservoir_says_who_left() -> None:
    reservoir, rng = Reservoir(2), np.random.default_rng(0)
    assert [reservoir.place(clip, rng) for clip in "ab"] == [None, None]
    gone = reservoir.place("c", rng)
    assert set(reservoir.kept) | {gone} == set("abc")
    with pytest.raises(ValueError, match="at least one"):
        Reservoir(0)


def test_er_replays_earlier_clips_alone_as_many_as_are_new() -> None:
    method, segmenter = Er(ErOptions(memory=3)), tiny()
    learn(method, context(segmenter, FIRST, [some_rows()]))
    assert len(method.memory_clips()) == 3
    where = context(segmenter, SECOND, [second_rows()])
    method.begin_task(where)
    method.after_step(Step(second_rows(), SECOND, segmenter, None))
    drawn = method.rehearsal(0, clips=10)
    assert len(drawn) == 10
    assert all(clip.startswith("clip0-") for clip in drawn)


def test_er_goes_on_from_its_state() -> None:
    method, fresh = Er(ErOptions(memory=3)), Er(ErOptions(memory=3))
    learn(method, context(tiny(), FIRST, [some_rows()]))
    fresh.load(method.state())
    assert fresh.memory_clips() == method.memory_clips()
    assert fresh.reservoir.offered == 4


def test_der_holds_the_network_to_what_it_said_at_the_end_of_the_task() -> None:
    method, segmenter, rows = DerPlusPlus(DerOptions(memory=4)), tiny(), some_rows()
    learn(method, context(segmenter, FIRST, [rows]))
    step = Step(rehearsed(rows), FIRST, segmenter, None)
    assert method.loss(step)["logits"].item() == pytest.approx(0, abs=1e-9)
    segmenter.classifier.grow(1)
    with torch.no_grad():
        for parameter in segmenter.mix.parameters():
            parameter.add_(0.1)
    moved = Step(rehearsed(rows), SECOND, segmenter, None)
    then = torch.stack([method.said[f"{clip}#0"] for clip in rows.clips])
    expected = 0.1 * (moved.said.logits[:, :2] - then).square().mean()
    torch.testing.assert_close(method.loss(moved)["logits"], expected)


def test_der_keeps_logits_of_kept_clips_only() -> None:
    method = DerPlusPlus(DerOptions(memory=2))
    learn(method, context(tiny(), FIRST, [some_rows()]))
    assert {key.partition("#")[0] for key in method.said} == set(method.reservoir.kept)
    fresh = DerPlusPlus(DerOptions(memory=2))
    fresh.load(method.state())
    assert fresh.said.keys() == method.said.keys()


def test_a_pasted_instance_brings_its_pixels_its_label_and_its_sound() -> None:
    rows = some_rows(labels=(0, 2), outputs=3)
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[2:4, 2:4] = True
    one = CutOut(1, mask, torch.full((3, 8, 8), 7.0), torch.ones(4))
    pasted = paste(rows, 1, one, with_sound=True)
    assert (pasted.inputs.pictures[0][1][:, mask] == 7).all()
    assert (pasted.labels[1][mask] == 1).all()
    assert torch.equal(pasted.labels[1][~mask], rows.labels[1][~mask])
    torch.testing.assert_close(pasted.inputs.sounds[0][1], rows.inputs.sounds[0][1] + 1)
    assert pasted.classes[1, 1]
    assert torch.equal(pasted.labels[0], rows.labels[0])
    silent = paste(rows, 1, one, with_sound=False)
    assert (silent.labels[1][mask] == 0).all()
    assert torch.equal(silent.inputs.sounds[0], rows.inputs.sounds[0])


def test_eir_pastes_old_instances_into_new_pictures_and_replays_no_clip() -> None:
    method, segmenter = Eir(EirOptions(per_class=2, chance=1.0)), tiny()
    learn(method, context(segmenter, FIRST, [some_rows()]))
    assert len(method.cut_outs) == 2
    resumed = Eir(EirOptions(per_class=2, chance=1.0))
    resumed.load(method.state())
    resumed.begin_task(context(segmenter, SECOND, [second_rows()], frozen_copy(segmenter)))
    step = Step(second_rows(), SECOND, segmenter, None)
    resumed.prepare(step)
    assert (step.rows.labels == 1).flatten(1).any(1).all()
    assert resumed.rehearsal(0, 10) == []
    assert len(resumed.memory_clips()) == 2


def test_eir_refuses_cached_features() -> None:
    method, rows = Eir(), some_rows()
    encoded = replace(rows, inputs=Inputs(rows.inputs.pictures, rows.inputs.sounds, encoded=True))
    with pytest.raises(ConfigError, match="raw inputs"):
        method.prepare(Step(encoded, FIRST, tiny(), None))
