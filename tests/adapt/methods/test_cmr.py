"""CMR: which clips are kept, and which are rehearsed more."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from cavs.adapt.methods.cmr import Cmr, CmrOptions
from cavs.adapt.methods.csr import (
    collided_clips,
    collision_pixels,
    dominant_pair,
    frequency,
    gather_over_ranks,
    repeated,
    weighted,
)
from cavs.adapt.methods.lra import Lra
from cavs.adapt.methods.memory import Exemplar, Exemplars
from cavs.adapt.methods.method import Task
from cavs.adapt.methods.mss import ClipScore, choose, frame_iou, score_clips
from cavs.adapt.methods.plop import Plop
from cavs.adapt.methods.training import frozen_copy
from tests.tiny_segmenter import context, learn, second_step, some_rows, stir, tiny

GUITAR, MAN, UKULELE = 1, 2, 3
RNG = np.random.default_rng(0)


def pixels(ukulele_as_guitar: int, ukulele_as_man: int) -> Counter[tuple[int, int]]:
    predicted = torch.tensor([GUITAR] * ukulele_as_guitar + [MAN] * ukulele_as_man)
    return collision_pixels(predicted, torch.full_like(predicted, UKULELE), old=2)


def test_a_clip_of_which_80_percent_collide_in_a_pair_counts_for_it() -> None:
    assert dominant_pair(pixels(80, 20), 0.7) == (GUITAR, UKULELE)


def test_70_percent_exactly_count_for_nothing() -> None:
    assert dominant_pair(pixels(70, 30), 0.7) is None


def test_no_collision_counts_for_nothing() -> None:
    assert dominant_pair(pixels(0, 0), 0.7) is None


def test_a_collision_needs_an_old_class_said_where_a_new_one_is_labelled() -> None:
    predicted = torch.tensor([GUITAR, 0, GUITAR, GUITAR, UKULELE, GUITAR])
    labels = torch.tensor([UKULELE, UKULELE, 0, GUITAR, UKULELE, 255])
    assert collision_pixels(predicted, labels, old=2) == {(GUITAR, UKULELE): 1}


def test_the_frames_of_a_clip_are_counted_together() -> None:
    step = second_step(some_rows(count=2, labels=(0, 3), outputs=4))
    step.rows = replace(step.rows, clips=("one", "one"), labels=torch.full_like(step.rows.labels, 3))
    step.old_said.logits.zero_()
    step.old_said.logits[0, GUITAR] = 9
    step.old_said.logits[1, MAN] = 9
    assert collided_clips([step], 0.7) == []
    assert collided_clips([step], 0.4) == [((GUITAR, UKULELE), 64)]


def test_frequencies_add_up_to_the_collided_clips() -> None:
    pairs = [((GUITAR, 3), 90), ((GUITAR, 4), 10), ((MAN, 3), 300)]
    assert frequency(pairs) == {GUITAR: 2, MAN: 1}
    assert frequency(pairs, by_pixels=True) == {GUITAR: 0.75, MAN: 2.25}
    assert frequency([]) == {}
    assert gather_over_ranks(pairs) == pairs


def some_memory() -> Exemplars:
    memory = Exemplars()
    memory.add(GUITAR, [Exemplar("g1", (GUITAR,)), Exemplar("g2", (GUITAR, MAN))])
    memory.add(MAN, [Exemplar("m1", (MAN,)), Exemplar("m2", (MAN,))])
    return memory


def test_a_collided_class_is_rehearsed_as_often_again_as_it_collided() -> None:
    expanded = Counter(repeated(some_memory(), {GUITAR: 6}, np.random.default_rng(0)))
    assert expanded.total() == 4 + 6
    assert expanded["g1"] + expanded["g2"] == 2 + 6
    assert expanded["m1"] == expanded["m2"] == 1
    capped = Counter(repeated(some_memory(), {GUITAR: 60}, np.random.default_rng(0), most=3))
    assert max(capped.values()) == 3
    assert repeated(some_memory(), {9: 5}, RNG) == ["g1", "g2", "m1", "m2"]


def test_the_weighted_sampler_draws_as_often_and_prefers_the_same_classes() -> None:
    drawn = Counter(weighted(some_memory(), {GUITAR: 4000.0}, np.random.default_rng(0)))
    assert drawn.total() == 4004
    # m_c 2 and 3, N 4000 and 0: weights 2001, 2001 + 1, 1, 1
    assert drawn["g1"] / drawn.total() == pytest.approx(0.5, abs=0.03)
    assert drawn["m1"] < 20
    assert weighted(Exemplars(), {}, RNG) == []
    assert len(weighted(some_memory(), {GUITAR: 4000.0}, RNG, draws=7)) == 7


def test_at_most_k_clips_of_a_class_all_if_there_are_fewer_and_always_the_same() -> None:
    clips = [Exemplar(name, (1,)) for name in "abcdefg"]
    scores = {name: ClipScore(multi=0.5, uni=0.5 + 0.1 * n) for n, name in enumerate("gfedcba")}
    assert [one.clip for one in choose(clips, scores, 3, "abs_min", RNG)] == ["g", "f", "e"]
    assert [one.clip for one in choose(clips, scores, 3, "min", RNG)] == ["a", "b", "c"]
    assert [one.clip for one in choose(clips, scores, 3, "max", RNG)] == ["g", "f", "e"]
    assert len(choose(clips, scores, 20, "abs_min", RNG)) == 7
    by_chance = [[one.clip for one in choose(clips, {}, 3, "random", np.random.default_rng(4))] for _ in range(2)]
    assert by_chance[0] == by_chance[1]


def test_of_equal_contributions_the_clip_that_was_segmented_better_is_kept() -> None:
    scores = {"both fail": ClipScore(0.0, 0.0), "both succeed": ClipScore(0.9, 0.9)}
    kept = choose([Exemplar(name, (1,)) for name in scores], scores, 1, "abs_min", RNG)
    assert [one.clip for one in kept] == ["both succeed"]


def test_the_iou_of_a_frame_is_over_the_classes_of_its_truth() -> None:
    labels, predicted = torch.tensor([[1, 1], [0, 255]]), torch.tensor([[1, 2], [0, 2]])
    assert frame_iou(predicted, labels, 4, reference=False) == 0.5
    assert frame_iou(predicted, labels, 4, reference=True) == pytest.approx(0.5 + 1.0, abs=1e-5)
    assert frame_iou(predicted * 0, labels * 0, 4, reference=False) == 0


def test_contribution_compares_with_the_same_network_muted_or_with_another() -> None:
    segmenter, rows = tiny((1,)), some_rows()
    stir(segmenter, spread=1.0)
    where = context(segmenter, Task(0, 0, 1), [rows])
    muted = score_clips(where, None)
    deaf = frozen_copy(segmenter)
    assert score_clips(where, deaf) == muted
    stir(deaf, spread=2.0, seed=9)
    other = score_clips(where, deaf)
    assert [other[clip].multi for clip in rows.clips] == [muted[clip].multi for clip in rows.clips]
    assert [other[clip].uni for clip in rows.clips] != [muted[clip].uni for clip in rows.clips]


def after_first_task(options: CmrOptions) -> tuple[Cmr, object]:
    method, segmenter = Cmr(options, Lra()), tiny()
    learn(method, context(segmenter, Task(0, 0, 1), [some_rows(count=8)]), steps=3)
    return method, segmenter


def test_each_class_leaves_k_clips_and_the_state_brings_them_back() -> None:
    method, _ = after_first_task(CmrOptions(per_class=3, uni_modal="muted"))
    assert len(method.memory_clips()) == 3
    fresh = Cmr(CmrOptions(per_class=3, uni_modal="muted"), Lra())
    fresh.load(method.state())
    assert fresh.memory_clips() == method.memory_clips()
    assert method.reads == "memory"


def test_balance_fixes_how_many_clips_an_epoch_rehearses() -> None:
    method, segmenter = Cmr(CmrOptions(per_class=2, uni_modal="muted", sampler="weighted", balance=0.5), Lra()), tiny()
    learn(method, context(segmenter, Task(0, 0, 1), [some_rows(count=8)]), steps=3)
    second = some_rows(labels=(0, 2), seed=1, outputs=3)
    method.begin_task(context(segmenter, Task(1, 1, 1), [second], frozen_copy(segmenter)))
    drawn = [method.rehearsal(epoch, 40) for epoch in range(2)]
    assert [len(clips) for clips in drawn] == [20, 20]
    assert set(drawn[0]) <= set(method.memory_clips())
    assert drawn[0] != drawn[1]


def test_a_trained_uni_modal_network_is_asked_for_once_a_task_or_missed_aloud() -> None:
    segmenter, asked = tiny(), []

    def train() -> object:
        asked.append(1)
        return frozen_copy(segmenter)

    learn(Cmr(CmrOptions(), Plop()), context(segmenter, Task(0, 0, 1), [some_rows()], uni_modal=train))  # type: ignore[arg-type]
    assert len(asked) == 1
    with pytest.raises(ValueError, match="muted"):
        learn(Cmr(), context(tiny(), Task(0, 0, 1), [some_rows()]))


@pytest.mark.parametrize("compat", [False, True])
def test_collisions_of_all_processes_count_but_in_the_reference(compat: bool) -> None:
    options = CmrOptions(per_class=2, uni_modal="muted", reference_compat=compat)
    elsewhere = [((1, 2), 5)] * 7
    method, segmenter = Cmr(options, gather=lambda pairs: pairs + elsewhere), tiny()
    learn(method, context(segmenter, Task(0, 0, 1), [some_rows(count=8)]), steps=3)
    second = some_rows(labels=(0, 2), seed=1, outputs=3)
    method.begin_task(context(segmenter, Task(1, 1, 1), [second], frozen_copy(segmenter)))
    here = len(method.rehearsal(0, 4)) - 2
    assert 0 <= here - (0 if compat else 7) <= 4


def test_the_reference_stands_on_a_plop_that_overwrites_memory() -> None:
    below = Cmr(CmrOptions(reference_compat=True)).below
    assert isinstance(below, Plop)
    assert not below.options.trust_memory
    default = Cmr().below
    assert isinstance(default, Plop)
    assert default.options.trust_memory


def test_collisions_are_counted_again_every_so_many_epochs() -> None:
    method, segmenter = Cmr(CmrOptions(per_class=2, uni_modal="muted", recount_every=2), Lra()), tiny()
    learn(method, context(segmenter, Task(0, 0, 1), [some_rows(count=8)]), steps=3)
    second = some_rows(labels=(2,), seed=1, outputs=3)
    method.begin_task(context(segmenter, Task(1, 1, 1), [second], frozen_copy(segmenter)))
    with torch.no_grad():  # from now on the network calls everything class 1
        segmenter.classifier.get_parameter("heads.1.bias").fill_(99)
    before = method.rehearsal(1, 4)
    assert method.rehearsal(2, 4) != before or len(before) == 6
    assert method.frequency == {1: 4}
    assert len(method.rehearsal(3, 4)) == 2 + 4
