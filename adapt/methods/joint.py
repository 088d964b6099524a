"""Joint training: every clip of every class seen so far, all classes labelled. The upper bound."""

from cavs.adapt.methods.fine_tuning import FineTuning
from cavs.adapt.methods.method import Reads


class Joint(FineTuning):
    """Fine-tuning that may read everything; the data layer labels all seen classes in what it hands out."""

    reads: Reads = "all"
