"""Thresholds come from val cases and leave the network as it was."""

from cavs.adapt.calibration import CANDIDATES, calibrate
from cavs.adapt.data.ingredients import Ingredients
from cavs.adapt.data.procedural import CLASSES
from cavs.adapt.onset import onset_latency
from cavs.adapt.scenarios import CaseSource
from tests.small_network import SMALL, small_network


def source(drawn: Ingredients) -> CaseSource:
    return CaseSource(drawn, CLASSES, {name: row for row, name in enumerate(CLASSES)}, (64, 64), SMALL.sound_samples)


def test_a_candidate_is_chosen_and_what_it_was_chosen_from_is_told(drawn: Ingredients) -> None:
    network = small_network()
    before = network.thresholds.clone()
    chosen = calibrate(network, source(drawn), frames=2, seed=0)
    assert chosen.sounding in CANDIDATES
    assert set(chosen.iou) == {f"{t:.2f}" for t in CANDIDATES}
    assert set(chosen.mass) == {"off_only", "no_target"}
    assert (network.thresholds == before).all()


def test_a_network_that_marks_everywhere_is_given_the_highest_threshold(drawn: Ingredients) -> None:
    network = small_network()
    network.get_parameter("decoder.sounding.weight").data.zero_()
    # Probability .77 everywhere: above all candidates but the last.
    network.get_parameter("decoder.sounding.bias").data.fill_(1.2)
    network.matching.match_gain.data.zero_()
    assert calibrate(network, source(drawn), frames=2, seed=0).sounding == CANDIDATES[-1]


def test_an_object_that_is_never_marked_counts_as_never_found(drawn: Ingredients) -> None:
    network = small_network()
    network.thresholds[0] = 2.0
    report = onset_latency(network, source(drawn), streams=2, seed=0)
    assert (report["streams"], report["found"], report["marked_before"]) == (2, 0, 0)
    assert report["median_ms"] is None
    assert report["median_ms_missed_as_never"] is None
