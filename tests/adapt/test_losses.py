"""The terms of the loss, on maps small enough to know the answer."""

import math

import pytest
import torch

from cavs.adapt.losses import IGNORED, class_loss, dice_loss, presence_loss, sounding_loss
from cavs.adapt.train_config import LossConfig

SURE = 20.0


def square(side: int) -> torch.Tensor:
    truth = torch.zeros(1, 16, 16)
    truth[:, :side, :side] = 1
    return truth


def test_a_right_mask_costs_nothing_and_an_unsure_one_ln_2() -> None:
    truth = square(8)
    assert sounding_loss(SURE * (2 * truth - 1), truth, LossConfig()).item() == pytest.approx(0, abs=1e-4)
    plain = LossConfig(small_object_most=1.0)
    assert sounding_loss(torch.zeros_like(truth), truth, plain).item() == pytest.approx(math.log(2))


def test_a_missed_pixel_of_a_small_object_costs_more_than_one_of_a_large_object() -> None:
    def cost_per_pixel(side: int) -> float:
        truth = square(side)
        return sounding_loss(torch.full_like(truth, -SURE), truth, LossConfig()).item() / side**2

    assert cost_per_pixel(2) > 1.5 * cost_per_pixel(8)


def test_dice_leaves_out_pairs_without_sound_but_counts_them_in_the_mean() -> None:
    truth = torch.cat([square(8), torch.zeros(1, 16, 16)])
    missed = torch.full_like(truth, -SURE)
    assert dice_loss(missed, truth).item() == pytest.approx(0.5, abs=0.02)
    assert dice_loss(SURE * (2 * truth - 1), truth).item() == pytest.approx(0, abs=1e-3)


def test_a_small_object_weighs_by_the_root_of_its_area_in_the_class_term() -> None:
    classes = torch.full((1, 8, 8), IGNORED)
    classes[0, :4] = 0  # 32 cells, named right
    classes[0, 7, :2] = 1  # 2 cells, named wrong
    scores = torch.zeros(1, 2, 8, 8)
    scores[:, 0] = SURE
    share = math.sqrt(2) / (math.sqrt(32) + math.sqrt(2))
    assert class_loss(scores, classes).item() == pytest.approx(SURE * share, rel=1e-3)


def test_a_scene_without_objects_costs_nothing_in_the_class_term() -> None:
    assert class_loss(torch.randn(1, 2, 4, 4), torch.full((1, 4, 4), IGNORED)).item() == 0


def test_rows_that_are_not_used_take_no_part_in_the_presence_term() -> None:
    logit = torch.tensor([[SURE, -SURE, -1e4]])
    heard = torch.tensor([[1.0, 0.0, 1.0]])
    assert presence_loss(logit, heard, torch.tensor([1.0, 1.0, 0.0])).item() == pytest.approx(0, abs=1e-6)
