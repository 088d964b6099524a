"""The same work in Roboflow's `inference`: its InferencePipeline reads the source, our graph is its custom logic.

Run by the Python of an environment that has `inference` (or `inference-cpu`) and this package: `scripts/bench --inference
PYTHON`.
The pipeline is left as it comes: from a file it takes every frame, from a stream the newest.
"""

from typing import Any

from inference import InferencePipeline  # type: ignore[import-not-found]  # in no extra of ours: 150 packages

from benchmarks.plain_loop import Work, arguments, bound
from cavs.runtime.clock import NS_PER_MS, NS_PER_S, MonotonicClock

SILENT_NS = 3 * NS_PER_S
"""A stream of which nothing came for so long is over; the pipeline itself would try to reach it again for ever."""
LOOK_NS = 100 * NS_PER_MS


def main() -> None:
    args = arguments()
    work, socket, clock = Work(args), bound(args.bind), MonotonicClock()
    came_ns: list[int] = []

    def step(frames: list[Any]) -> list[Any]:
        return [work.on(frame.image) for frame in frames]

    def send(message: Any, _: Any) -> None:
        socket.send_multipart(message)
        came_ns[:] = [clock.now_ns()]

    pipeline = InferencePipeline.init_with_custom_logic(args.source, on_video_frame=step, on_prediction=send)
    print("opened", flush=True)
    pipeline.start(use_main_thread=False)
    while not came_ns or clock.now_ns() - came_ns[0] < SILENT_NS:
        clock.sleep_ns(LOOK_NS)
    pipeline.terminate()
    pipeline.join()


if __name__ == "__main__":
    main()
