"""Labels: silent below the first threshold, unknown below the second, else the class that was seen and heard."""

import numpy as np
import torch

from cavs.adapt.model.conditioning import Heard
from cavs.adapt.model.heads import MASKED_LOGIT
from cavs.adapt.model.labelling import label_pixels
from cavs.adapt.model.network import Perception
from tests.small_network import small_network

THRESHOLDS = torch.tensor([0.5, 0.3])
EMPTY = torch.zeros(0)


def perception(sounding: float, cosines: tuple[float, ...]) -> Perception:
    """8x8 pixels that all look alike: one logit, one cosine per class."""
    scale = small_network().matching.pixel_scale.exp()
    logits = (scale * torch.tensor(cosines)).view(1, -1, 1, 1)
    heard = Heard(EMPTY, EMPTY, EMPTY)
    return Perception(torch.full((1, 1, 2, 2), sounding), EMPTY, logits, logits, EMPTY, heard)


def label_of(sounding: float, cosines: tuple[float, ...]) -> int:
    with torch.inference_mode():
        label, _, _ = label_pixels(small_network(), perception(sounding, cosines), THRESHOLDS)
    assert label.shape == (1, 8, 8)
    (value,) = np.unique(label.numpy())
    return int(value)


def test_what_does_not_sound_is_silent_however_near_its_class() -> None:
    assert label_of(-0.1, (0.9, 0.1)) == 0


def test_what_sounds_and_is_near_a_row_gets_its_number() -> None:
    assert label_of(0.1, (0.1, 0.9)) == 3


def test_what_sounds_and_is_near_no_row_is_unknown() -> None:
    assert label_of(0.1, (0.1, 0.29)) == 1


def test_without_any_class_everything_that_sounds_is_unknown() -> None:
    assert label_of(0.1, (MASKED_LOGIT, MASKED_LOGIT)) == 1


def test_an_edge_between_sound_and_silence_lies_where_the_enlarged_logit_crosses() -> None:
    seen = perception(0.0, (0.9, 0.1))
    seen.sounding[0, 0] = torch.tensor([[3.0, -3.0], [3.0, -3.0]])
    with torch.inference_mode():
        label, probability, _ = label_pixels(small_network(), seen, THRESHOLDS)
    np.testing.assert_array_equal(label[0].numpy() > 0, probability[0].numpy() > 0.5)
    assert (label[0, :, :4] == 2).all()
    assert (label[0, :, 4:] == 0).all()
