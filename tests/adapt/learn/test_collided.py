"""What a new thing is taken for comes more often in its lesson."""

import pytest
import torch

from cavs.adapt.learn.collided import collided
from cavs.adapt.learn.features import look, see
from cavs.adapt.learn.options import LearnOptions
from cavs.adapt.learn.pool import Composer
from cavs.adapt.learn.training import LessonTraining
from cavs.adapt.model.network import Network
from tests.adapt.learn.lessons import NAME, exemplars, knowing
from tests.small_network import small_network

ROWS = {"bell": 0, "frog": 1}


@pytest.fixture
def taken_for_a_bell() -> Network:
    """Knows a bell that looks like what is taught, and a frog that looks like the opposite."""
    network = small_network()
    network.name_classes(tuple(ROWS))
    one = exemplars(1)[0]
    with torch.no_grad():
        embedding = see(network, look(network, one.frame[None])).embedding[0]
        inside = torch.from_numpy(one.marks[0][1][4::8, 4::8])
        mean = embedding[:, inside].mean(1)
        network.classes.table[0], network.classes.table[1] = mean, -mean
    return network


def test_it_is_told_by_what_is_seen(taken_for_a_bell: Network) -> None:
    assert collided(taken_for_a_bell, exemplars(), ROWS) == {"bell": 1.0}
    with torch.no_grad():
        taken_for_a_bell.classes.table.neg_()
    assert collided(taken_for_a_bell, exemplars(), ROWS) == {"frog": 1.0}


def test_a_known_class_is_taken_for_nothing(taken_for_a_bell: Network) -> None:
    assert collided(taken_for_a_bell, exemplars(), {**ROWS, NAME: 2}) == {}
    assert collided(taken_for_a_bell, exemplars(3, "bell"), ROWS) == {}


def test_only_windows_of_new_classes_count(taken_for_a_bell: Network) -> None:
    both = (*exemplars(4), *exemplars(4, "frog"))
    assert collided(taken_for_a_bell, both, ROWS) == {"bell": 1.0}


def test_what_is_collided_with_is_shown_and_heard_more_often() -> None:
    drawn = ("kettle", "hand_bell", "drone", "toy_frog")

    def share(often: dict[str, float]) -> float:
        composer = Composer(small_network(), exemplars(), (), drawn, LearnOptions(shown=0.1, pasted=0.1), 0, often)
        shown = [{name for name, _ in composer.picture(number).shown} for number in range(80)]
        heard = [set(composer.sound(number).now) for number in range(80)]
        return sum("hand_bell" in names for names in (*shown, *heard)) / 160

    assert share({"hand_bell": 1.0}) > 1.4 * share({})
    assert share({"dog": 1.0}) == share({})


def test_what_an_earlier_candidate_forgot_is_shown_more_often() -> None:
    network, _, parent = knowing("kettle", "hand_bell", "drone", "toy_frog")
    options = LearnOptions(shown=0.1, pasted=0.1)

    def share(forgot: tuple[str, ...]) -> float:
        composer = LessonTraining(network, parent, exemplars(), (), options, forgot=forgot).composer
        return sum(any(name == "hand_bell" for name, _ in composer.picture(number).shown) for number in range(80)) / 80

    assert share(("hand_bell",)) > 1.4 * share(())
