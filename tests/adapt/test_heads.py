"""The class table: unused rows take no part, agreement counts where a class is near, and hearing decides between likes."""

import torch

from cavs.adapt.model.heads import ClassTable, Matching
from tests.small_network import SMALL

WIDTH = 4


def unit(*values: float) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.tensor(values, dtype=torch.float32), dim=0)


ROWS = torch.stack([unit(1, 0, 0, 0), unit(0, 1, 0, 0), unit(0, 0, 1, 0)])
TWO_USED = torch.tensor([1.0, 1.0, 0.0])
HEARD, NOT_HEARD = 6.0, -6.0


def pixels(*embeddings: torch.Tensor) -> torch.Tensor:
    """(1, D, 1, n)"""
    return torch.stack(embeddings, dim=1)[None, :, None]


@torch.inference_mode()
def test_rows_that_are_not_used_are_neither_seen_nor_heard() -> None:
    matching = Matching()
    exactly_row_2 = pixels(ROWS[2])
    logits = matching.pixels(exactly_row_2, ROWS, TWO_USED)
    assert torch.softmax(logits, dim=1)[0, :, 0, 0].tolist() == [0.5, 0.5, 0.0]
    presence = torch.sigmoid(matching.presence(ROWS[2].expand(1, 3, WIDTH), ROWS, TWO_USED))
    assert float(presence[0, 2]) == 0


@torch.inference_mode()
def test_a_class_is_heard_when_one_of_the_voices_is_near_its_row() -> None:
    presence = Matching().presence(torch.stack([ROWS[1], unit(0, 0, 0, 1)])[None], ROWS, TWO_USED)
    assert torch.sigmoid(presence[0, 1]) > 0.9
    assert torch.sigmoid(presence[0, 0]) < 0.1


@torch.inference_mode()
def test_agreement_is_positive_where_the_class_is_heard_negative_where_it_is_not_and_zero_where_none_is_near() -> None:
    matching = Matching()
    embedding = pixels(ROWS[0], ROWS[1], unit(0, 0, 0, 1))
    shows = matching.pixels(embedding, ROWS, TWO_USED)
    presence = torch.tensor([[HEARD, NOT_HEARD, NOT_HEARD]])
    evidence = matching.evidence(shows, presence, embedding, ROWS[:1][None])
    heard, silent, stranger = evidence.match[0, 0, 0].tolist()
    assert heard > 0.4
    assert silent < -0.4
    assert abs(stranger) < 0.02
    known = evidence.known[0, 0, 0].tolist()
    assert known[0] > 0.9
    assert known[2] < 0.1
    assert evidence.voice[0, 0, 0].tolist() == [1.0, 0.0, 0.0]


@torch.inference_mode()
def test_a_pixel_between_two_classes_is_named_after_the_one_that_is_heard() -> None:
    matching = Matching()
    shows = matching.pixels(pixels(unit(1, 1.1, 0, 0)), ROWS, TWO_USED)
    assert int(shows.argmax()) == 1
    assert int(matching.named(shows, torch.tensor([[HEARD, NOT_HEARD, NOT_HEARD]])).argmax()) == 0


def test_the_table_gives_unit_rows_and_zeros_where_unused() -> None:
    table = ClassTable(SMALL)
    table.used[:2] = 1
    with torch.no_grad():
        table.table.mul_(7)
    torch.testing.assert_close(table.unit_rows().norm(dim=1), torch.tensor([1.0, 1, 0, 0, 0, 0]))
