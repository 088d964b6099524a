"""Batches: functions of (seed, process, step), in which the sound decides what is to be marked."""

from collections.abc import Callable
from dataclasses import fields

import pytest
import torch

from cavs.adapt.data.ingredients import Ingredients
from cavs.adapt.finished import form_of
from cavs.adapt.sampler import Pairings
from cavs.adapt.train_config import TrainConfig
from cavs.adapt.training_step import Batch

Make = Callable[..., TrainConfig]


def pairings(drawn: Ingredients, config: TrainConfig, rank: int = 0) -> Pairings:
    return Pairings(drawn, config, form_of(config), rank)


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(Batch))


def test_a_batch_is_a_function_of_seed_process_and_step(drawn: Ingredients, small_config: Make) -> None:
    batch = pairings(drawn, small_config())[1]
    assert same(batch, pairings(drawn, small_config())[1])
    assert not same(batch, pairings(drawn, small_config())[0])
    assert not same(batch, pairings(drawn, small_config(), rank=1)[1])
    assert not same(batch, pairings(drawn, small_config(seed=1))[1])


def test_every_scene_meets_own_borrowed_and_quiet_sounds(drawn: Ingredients, small_config: Make) -> None:
    pairing = {"scenes": 3, "own_sounds": 2, "borrowed_sounds": 1, "quiet_sounds": 2}
    batch = pairings(drawn, small_config(pairing=pairing))[0]
    assert len(batch.waves) == 3 * 2 + 2
    for scene in range(3):
        sounds = batch.sound[batch.scene == scene].tolist()
        assert [sound // 2 == scene for sound in sounds if sound < 6].count(True) == 2
        assert [sound // 2 == scene for sound in sounds if sound < 6].count(False) == 1
        assert sum(sound >= 6 for sound in sounds) == 1
    assert batch.heard[6:].sum() == 0


def test_one_scene_alone_borrows_from_nobody(drawn: Ingredients, small_config: Make) -> None:
    batch = pairings(drawn, small_config(pairing={"scenes": 1, "quiet_sounds": 0}))[0]
    assert batch.sound.tolist() == [0, 1]


def test_shares_of_cells_add_up_to_what_is_seen(drawn: Ingredients, small_config: Make) -> None:
    visible = pairings(drawn, small_config())[0].visible.float()
    assert visible.shape[1:] == (5, 16, 16)
    assert visible.sum(1).max() <= 1.001
    assert (visible.amax((1, 2, 3)) > 0.5).all()


def test_sounds_only_of_things_elsewhere_are_drawn_when_nothing_visible_is_asked_for(
    drawn: Ingredients, small_config: Make
) -> None:
    pairing = {"one_visible": 0, "two_visible": 0, "visible_and_offscreen": 0, "borrowed_sounds": 0, "stopped": 0}
    batch = pairings(drawn, small_config(pairing=pairing))[0]
    shown = batch.visible.float().amax((2, 3)) > 0
    assert batch.heard.sum() > 0
    assert not (batch.heard[batch.sound] * shown[batch.scene]).any()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_one_shown_class_is_hidden_from_the_table_as_often_as_asked(
    drawn: Ingredients, small_config: Make, share: float
) -> None:
    batch = pairings(drawn, small_config(loss={"hidden_class": share}))[0]
    hidden = batch.used == 0
    assert hidden.sum() == share
    assert (batch.visible.float().amax((0, 2, 3))[hidden] > 0).all()
