"""A method on top of another: all calls pass through, and the upper one changes some of them."""

from cavs.adapt.methods.method import Method, Reads, State, Step, TaskContext, Terms


class Layered:
    """Behaves as `below` does."""

    def __init__(self, below: Method) -> None:
        self.below = below
        self.reads: Reads = below.reads

    def begin_task(self, context: TaskContext) -> None:
        self.below.begin_task(context)

    def rehearsal(self, epoch: int, clips: int) -> list[str]:
        return self.below.rehearsal(epoch, clips)

    def prepare(self, step: Step) -> None:
        self.below.prepare(step)

    def loss(self, step: Step) -> Terms:
        return self.below.loss(step)

    def after_backward(self, step: Step) -> None:
        self.below.after_backward(step)

    def after_step(self, step: Step) -> None:
        self.below.after_step(step)

    def end_task(self, context: TaskContext) -> None:
        self.below.end_task(context)

    def memory_clips(self) -> tuple[str, ...]:
        return self.below.memory_clips()

    def collisions(self) -> list[tuple[int, int, int]]:
        return self.below.collisions()

    def state(self) -> State:
        return {"below": self.below.state()}

    def load(self, state: State) -> None:
        self.below.load(substate(state, "below"))


def substate(state: State, name: str) -> State:
    """A dictionary inside a state."""
    inner = state[name]
    if not isinstance(inner, dict):
        raise ValueError(f"state {name}: {type(inner).__name__}, expected a dictionary")
    return inner
