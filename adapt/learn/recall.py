"""What a network still knows of classes whose pictures nobody has here: asked of vectors drawn from their statistics.

They stand for the anchors that the classes of a shipped bundle lack. They are vectors from before the embedding and before the
voices are named, so they show what those layers, and the rows, forgot or took for something new; not what the layers before
them did.
"""

import torch

from cavs.adapt.learn.lesson_loss import presence_of, rows_of
from cavs.adapt.learn.recalled import Recalled
from cavs.adapt.learn.rehearsal import FILE, embedded, rehearsal_of
from cavs.adapt.model.network import Network

SEED = 1
"""Of the vectors: not those that a lesson rehearses."""
HEARD_LOGIT = 0.0


@torch.inference_mode()
def recall_of(network: Network) -> dict[str, Recalled]:
    """By class, with the network's adapter; nothing for a network of which there are no statistics."""
    kept = rehearsal_of(network, FILE, SEED)
    kept = kept.of(network.class_names) if kept is not None else None
    if kept is None:
        return {}
    rows = rows_of(network)
    logits = network.matching.pixels(embedded(network, kept.pixels), rows.table, rows.used)[:, :, 0, 0]
    heard = presence_of(network, kept.voices, rows) > HEARD_LOGIT
    found = {}
    for number, name in enumerate(kept.names):
        row, pixels, sounds = network.class_names.index(name), kept.shows == number, kept.hears[:, number] > 0
        if pixels.any() and sounds.any():
            seen = (logits[pixels].argmax(1) == row).float().mean()
            found[name] = Recalled(float(seen), float(heard[sounds, row].float().mean()))
    return found
