"""Joint training: every clip of every class seen so far, all classes labelled. The upper bound."""

from dataclasses import dataclass

from cavs.adapt.methods.exchange import Exchange
from cavs.adapt.methods.fine_tuning import FineTuning
from cavs.adapt.methods.method import Method, Reads
from cavs.adapt.methods.overlap import Overlap, OverlapOptions


@dataclass(frozen=True, slots=True)
class JointOptions:
    """overlap: weight of `overlap.Overlap`. exchange: as in `exchange.Exchange`. The upper bound of methods that have them."""

    overlap: float = 0.0
    exchange: bool = False


class Joint(FineTuning):
    """Fine-tuning that may read everything; the data layer labels all seen classes in what it hands out."""

    reads: Reads = "all"


def make_joint(options: JointOptions) -> Method:
    method: Method = Joint()
    if options.overlap:
        method = Overlap(method, OverlapOptions(new=options.overlap, old=0.0))
    return Exchange(method) if options.exchange else method
