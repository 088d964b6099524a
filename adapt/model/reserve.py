"""A trained network made ready to keep learning: room for classes to come, and fresh LoRA pairs."""

from collections.abc import Sequence

import torch

from cavs.adapt.model.config import EarPairs
from cavs.adapt.model.network import Network, build_network
from cavs.runtime.errors import AdaptError

CLASS_CAPACITY = 128
"""Rows of the shipped class table."""


@torch.no_grad()
def reserve_room(
    network: Network,
    class_names: Sequence[str] | None = None,
    class_capacity: int = CLASS_CAPACITY,
    ear_pairs: EarPairs | None = None,
) -> Network:
    """A copy of the network whose table holds the rows of `class_names`, in that order, and is otherwise free.

    Without names it keeps its own. A network without LoRA pairs gets fresh ones, which change nothing, and so do layers that
    carry one only with these `ear_pairs`. Raises AdaptError if it does not know a class or they do not fit.
    """
    names = tuple(network.class_names if class_names is None else class_names)
    strangers = [name for name in names if name not in network.class_names]
    if strangers:
        raise AdaptError(f"class {strangers[0]}: the network does not know it; it knows {', '.join(network.class_names)}")
    if len(names) > class_capacity:
        raise AdaptError(f"{len(names)} classes do not fit a table of {class_capacity} rows")
    form = {"class_capacity": class_capacity, "ear_pairs": ear_pairs or network.config.ear_pairs}
    roomy = build_network(network.config.model_copy(update=form))
    skipped = ("classes.table", "classes.used")
    kept = {name: tensor for name, tensor in network.state_dict().items() if name not in skipped}
    roomy.load_state_dict(kept, strict=False)
    rows = [network.class_names.index(name) for name in names]
    roomy.classes.table.zero_()
    roomy.classes.table[: len(names)] = network.classes.table[rows]
    roomy.name_classes(names)
    return roomy.train(network.training)
