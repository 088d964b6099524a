"""Where lessons stand, as plain maps: for the control socket, which sends them, and for commands, which print them."""

import json
from pathlib import Path
from typing import Any

from cavs.runtime.errors import LessonRejected
from cavs.runtime.lesson import Lessons
from cavs.runtime.store_lock import is_held

Standing = dict[str, Any]
LEARNER_STATUS, LEARNER_LOCK = Path("learner", "status.json"), Path("learner", "lock")
LEARNER_STATUS_BYTES_MAX = 1 << 20


def standing(lessons: Lessons, lesson: str) -> Standing:
    """`lesson`, `kind`, `name`, `accepted` and `state`, and `proposal` and `outcome` as far as there are any.

    state: `waiting` for the learner, `proposed` to a person, `learning` since that was accepted; then the outcome's: `live`,
    `refused`, `rejected`, `failed`. Raises LessonRejected if there is no such lesson or it cannot be read.
    """
    request = lessons.request(lesson)
    proposal, decision, outcome = lessons.proposal(lesson), lessons.decision(lesson), lessons.outcome(lesson)
    accepted = request.yes if decision is None else decision.accept
    told: Standing = {
        "lesson": lesson,
        "kind": request.kind,
        "name": request.name,
        "accepted": accepted,
        "state": "waiting",
    }
    if proposal is not None:
        told["state"] = "learning" if accepted else "proposed" if decision is None else "rejected"
        told["proposal"] = {
            "windows": len(proposal.windows),
            "kept": proposal.kept,
            "dropped": proposal.dropped,
            "note": proposal.note,
        }
    if outcome is not None:
        told["state"] = outcome.state
        told["outcome"] = outcome.model_dump(mode="json")
    return told


def newest(lessons: Lessons, most: int) -> list[Standing]:
    """The newest lessons, oldest first; of one that cannot be read, why."""
    told: list[Standing] = []
    for lesson in lessons.ids()[-most:]:
        try:
            told.append(standing(lessons, lesson))
        except LessonRejected as error:
            told.append({"lesson": lesson, "kind": "", "name": None, "state": "unreadable", "error": str(error)})
    return told


def learner_standing(store: Path) -> Standing:
    """`alive`: whether a learner works on the store; `status`: what it last wrote of itself, as it is, or None."""
    path = store / LEARNER_STATUS
    status = None
    try:
        if path.stat().st_size <= LEARNER_STATUS_BYTES_MAX:
            status = json.loads(path.read_bytes())
    except (OSError, ValueError):  # none yet, or just being exchanged
        pass
    return {"alive": is_held(store / LEARNER_LOCK), "status": status}
