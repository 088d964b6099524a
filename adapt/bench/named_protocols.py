"""Protocols by name."""

import re
from collections.abc import Sequence

from cavs.adapt.bench.cavs_splits import SCENARIOS, SPLITS, cavs_protocol
from cavs.adapt.bench.cl_avs import class_order
from cavs.adapt.bench.protocols import ClassProtocol, Scenario, Setting, split_classes
from cavs.runtime.errors import ConfigError

ORDER_SEED = 0
"""Of the class order on data of our own: one for all, so that runs compare."""
KNOWN = (
    f"cavs-SCENARIO-SPLIT on AVSBench-semantic ({', '.join(SPLITS)}), or SCENARIO-BASE-STEP such as cis-6-3 on any data set; "
    f"SCENARIO: {', '.join(SCENARIOS)}"
)


def make_protocol(name: str, setting: Setting, classes: Sequence[str]) -> ClassProtocol:
    """The protocol of a name for a data set's sounding classes. ConfigError says which there are."""
    published = re.fullmatch(r"cavs-(ci|cis|cim)-(.+)", name)
    own = re.fullmatch(r"(ci|cis|cim)-(\d+)-(\d+)", name)
    try:
        if published and published[2] in SPLITS:
            return cavs_protocol(_scenario(published[1]), published[2], setting)
        if own:
            tasks = split_classes(class_order(classes, ORDER_SEED), int(own[2]), int(own[3]))
            return ClassProtocol(f"{name}-{setting}", tasks, _scenario(own[1]), setting)
    except ValueError as error:
        raise ConfigError(f"protocol {name}: {error}: {', '.join(sorted(classes))}") from None
    raise ConfigError(f"protocol {name!r} is unknown; known: {KNOWN}")


def _scenario(text: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if scenario == text)
