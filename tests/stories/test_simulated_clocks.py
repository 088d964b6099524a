"""A sound card and a camera with clocks of their own, simulated: the window's sound stays within 5 ms of the truth.

Every sample carries its own number as its value, so a window shows by itself when its sound was really recorded.
"""

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import cavs.stream
from cavs.runtime.clock import NS_PER_MS, NS_PER_S
from cavs.stream.align import Aligner
from cavs.stream.items import AudioBlock, StampGrade, VideoFrame, Window

RATE_HZ = 16_000
SAMPLES = 1600
START_NS = 5_000 * NS_PER_S
CODE = 1 << 20
"""A float32 holds this many numbers exactly; at 16 kHz they repeat after 65 s, which no error may reach."""
VALUES: npt.NDArray[np.float32] = (np.arange(CODE + RATE_HZ) % CODE / CODE).astype(np.float32)
PIXELS = np.zeros((2, 2, 3), np.uint8)
LIMIT_MS = 5.0
SETTLED_S = 2.0

Jitter = Callable[[np.random.Generator], float]


def steady(_: np.random.Generator) -> float:
    return 0.0


def read_late(random: np.random.Generator) -> float:
    """A moment of reading: after the truth, by up to 20 ms."""
    return random.uniform(0, 20) * NS_PER_MS


def either_way(random: np.random.Generator) -> float:
    """A stamp that is off by up to 20 ms to both sides."""
    return random.uniform(-20, 20) * NS_PER_MS


@dataclass
class SoundCard:
    """A card whose crystal is off by `ppm`. `recorded` counts what the microphone heard, `handed` what it tells us."""

    ppm: float = 0.0
    jitter: Jitter = steady
    grade: StampGrade = StampGrade.C
    block_samples: int = 640
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))
    recorded: int = 0
    handed: int = 0

    @property
    def real_hz(self) -> float:
        return RATE_HZ * (1 + self.ppm / 1e6)

    def time_of(self, recorded: float) -> int:
        return START_NS + round(recorded / self.real_hz * NS_PER_S)

    def recorded_at(self, t_ns: int) -> float:
        return (t_ns - START_NS) / NS_PER_S * self.real_hz

    def blocks_until(self, t_ns: int) -> Iterator[AudioBlock]:
        """The blocks that are complete at this time."""
        while self.time_of(self.recorded + self.block_samples) <= t_ns:
            yield self.next_block()

    def next_block(self) -> AudioBlock:
        at = self.recorded % CODE
        stamp_ns = self.time_of(self.recorded) + round(self.jitter(self.random))
        block = AudioBlock(VALUES[at : at + self.block_samples], self.handed, stamp_ns, RATE_HZ, self.grade)
        self.recorded += self.block_samples
        self.handed += self.block_samples
        return block

    def sleep_until(self, t_ns: int) -> None:
        """Hears nothing until then, and does not know it: its own count goes on where it stopped."""
        self.recorded = round(self.recorded_at(t_ns))

    def error_ms(self, window: Window) -> float:
        """How far the newest sample of the window was recorded from where it belongs."""
        truth = self.recorded_at(window.frame.t_ns) - 1
        newest = float(window.sound[-1]) * CODE
        return ((newest - truth + CODE / 2) % CODE - CODE / 2) / self.real_hz * 1000


def aligner(audio_wait_ns: int = 120 * NS_PER_MS, offset_ns: int = 0) -> Aligner:
    return Aligner(
        RATE_HZ,
        SAMPLES,
        live=True,
        staleness_ns=500 * NS_PER_MS,
        audio_wait_ns=audio_wait_ns,
        offset_ns=offset_ns,
    )


@dataclass(frozen=True)
class Seen:
    """What is kept of a window, whose sound is written over four windows later."""

    t_s: float
    error_ms: float
    skew_ms: float
    missing: int
    flags: frozenset[str]


def play(card: SoundCard, align: Aligner, seconds: tuple[float, float], every_ms: int = 33) -> list[Seen]:
    """Runs the simulated world: frames at their times, blocks when complete, and a look 70 ms after each frame."""
    seen = []
    first_ns, last_ns = (START_NS + round(s * NS_PER_S) for s in seconds)
    for index, t_ns in enumerate(range(first_ns, last_ns, every_ms * NS_PER_MS), start=first_ns // NS_PER_S * 1000):
        for block in card.blocks_until(t_ns + 60 * NS_PER_MS):
            align.push(block)
        align.push(VideoFrame(PIXELS, t_ns, index))
        while (window := align.pop(t_ns + 70 * NS_PER_MS)) is not None:
            t_s = (window.frame.t_ns - START_NS) / NS_PER_S
            skew_ms = window.skew_ns / NS_PER_MS
            seen.append(Seen(t_s, card.error_ms(window), skew_ms, window.missing, window.flags))
    return seen


def worst_ms(windows: list[Seen], after_s: float = SETTLED_S) -> float:
    errors = [abs(window.error_ms) for window in windows if window.t_s > after_s and not window.missing]
    assert errors, "no window had its sound"
    return max(errors)


@pytest.mark.parametrize("ppm", [500.0, -500.0])
def test_an_hour_of_drift_keeps_the_sound_within_5_ms(ppm: float) -> None:
    card = SoundCard(ppm, read_late)
    align = aligner()
    worst = worst_ms(play(card, align, (0, 3600), every_ms=500))
    assert worst < LIMIT_MS
    report = align.drift()
    assert report.locked
    assert report.ppm == pytest.approx(ppm, abs=10)
    assert report.relocks == 0
    assert abs(card.recorded - 3600 * RATE_HZ) > 20_000, "counting samples would be off by more than a second"


@pytest.mark.parametrize(
    ("jitter", "grade", "limit_ms"),
    [
        (steady, StampGrade.A, 0.1),
        (read_late, StampGrade.C, 2.0),
        (either_way, StampGrade.A, LIMIT_MS),
        (either_way, StampGrade.B, LIMIT_MS),
    ],
)
@pytest.mark.parametrize("ppm", [500.0, 0.0, -500.0])
def test_jitter_of_20_ms_averages_out(jitter: Jitter, grade: StampGrade, limit_ms: float, ppm: float) -> None:
    card = SoundCard(ppm, jitter, grade, block_samples=320)
    align = aligner()
    assert worst_ms(play(card, align, (0, 120))) < limit_ms
    assert align.drift().relocks == 0
    assert align.drift().ppm == pytest.approx(ppm, abs=40)
    spread_ms = {steady: 0.0, read_late: 20 / 12**0.5, either_way: 40 / 12**0.5}[jitter]
    assert align.drift().residual_ns / NS_PER_MS == pytest.approx(spread_ms, rel=0.2, abs=0.01)


def test_a_stall_of_the_reader_does_not_move_the_line() -> None:
    """For 300 ms nobody reads; then all blocks are read at once and stamped late, by less and less."""
    card = SoundCard(50.0)
    align = aligner()
    worst = worst_ms(play(card, align, (0, 20)))
    for _ in range(8):
        stalled = card.next_block()
        read_ns = max(stalled.t_ns, card.time_of(20 * RATE_HZ) + 300 * NS_PER_MS)
        align.push(AudioBlock(stalled.samples, stalled.first, read_ns, RATE_HZ, StampGrade.C))
    worst = max(worst, worst_ms(play(card, align, (20.4, 40))))
    assert worst < 1.0
    assert align.drift().relocks == 0


def test_lost_blocks_leave_a_gap_in_the_windows_that_cover_it_and_nowhere_else() -> None:
    card = SoundCard(200.0, read_late)
    align = aligner()
    before = worst_ms(play(card, align, (0, 10)))
    lost_s = card.recorded / card.real_hz
    for _ in range(5):
        card.next_block()
    windows = play(card, align, (10.001, 20))
    assert worst_ms(windows) < LIMIT_MS
    assert before < LIMIT_MS
    for window in windows:
        covers_gap = lost_s < window.t_s < lost_s + (5 * card.block_samples + SAMPLES) / RATE_HZ
        assert bool(window.missing) == covers_gap
        assert window.flags == (
            frozenset() if not covers_gap else {"audio_partial"} if window.missing < SAMPLES else {"audio_missing"}
        )
    assert any("audio_partial" in window.flags for window in windows)
    assert align.drift().samples_lost == 5 * card.block_samples
    assert align.drift().sound_gaps == 1


def test_sound_lost_without_a_word_is_noticed_by_its_time() -> None:
    """The card drops 60 ms and counts on as if nothing had been: within 2 s the line has followed."""
    card = SoundCard(-30.0, read_late)
    align = aligner()
    assert worst_ms(play(card, align, (0, 30))) < LIMIT_MS
    card.recorded += round(0.06 * RATE_HZ)
    after = play(card, align, (30.2, 60))
    assert worst_ms(after, after_s=32.2) < LIMIT_MS
    assert align.drift().relocks == 1
    (event,) = align.drain_events()
    assert event.kind == "warning"
    assert "ms; locking on again" in event.text


@pytest.mark.parametrize("numbers", ["go on", "start again at 0", "count the silence"])
@pytest.mark.parametrize("away_s", [3.0, 100.0])
def test_a_device_that_stops_and_comes_back_is_joined_on_where_its_time_says(numbers: str, away_s: float) -> None:
    card = SoundCard(300.0, read_late)
    align = aligner()
    assert worst_ms(play(card, align, (0, 30))) < LIMIT_MS
    before = card.recorded
    deaf = SoundCard(block_samples=1 << 40)
    silent = play(deaf, align, (30.25, 30 + away_s), every_ms=100)
    assert len(silent) >= (away_s - 0.5) * 10, "frames go on without sound"
    assert all(window.flags == {"audio_missing"} for window in silent)
    card.sleep_until(START_NS + round((30 + away_s) * NS_PER_S))
    if numbers == "start again at 0":
        card.handed = 0
    elif numbers == "count the silence":
        card.handed += card.recorded - before
    windows = play(card, align, (30.001 + away_s, 60 + away_s))
    # Until enough new stamps are there, a cut is as good as the first stamp: 20 ms late here.
    assert worst_ms(windows, after_s=30 + away_s) < 25
    assert worst_ms(windows, after_s=32 + away_s) < LIMIT_MS
    assert windows[-1].missing == 0
    report = align.drift()
    assert report.samples_lost == pytest.approx(away_s * RATE_HZ, rel=0.02)
    assert report.sound_gaps == 1
    assert report.ppm == pytest.approx(300, abs=40), "its crystal is still the same"


def test_a_clock_that_is_set_back_lets_no_old_sound_into_new_windows() -> None:
    card = SoundCard()
    align = aligner()
    assert worst_ms(play(card, align, (0, 10))) < 0.1
    backward_ns = 4 * NS_PER_S
    shifted = []
    for _ in range(100):
        block = card.next_block()
        shifted.append(AudioBlock(block.samples, block.first, block.t_ns - backward_ns, RATE_HZ, StampGrade.C))
    align.push(shifted[0])
    window_end_ns = shifted[0].t_ns + 40 * NS_PER_MS
    cut = np.zeros(SAMPLES, np.float32)
    missing = align.line.cut(align.line.sample_at(window_end_ns), cut)
    assert missing == SAMPLES - 640
    assert not cut[: SAMPLES - 640].any()
    np.testing.assert_array_equal(cut[SAMPLES - 640 :], shifted[0].samples)
    assert align.drift().relocks == 1


def test_a_wrong_nominal_rate_is_said_aloud() -> None:
    """44.1 kHz called 48 kHz, here at the bundle's rate: 81250 ppm slow."""
    card = SoundCard(-81_250.0, read_late)
    align = aligner()
    play(card, align, (0, 90))
    report = align.drift()
    assert report.rate_suspect
    assert report.ppm == pytest.approx(-81_250, rel=0.01)
    warnings = [event.text for event in align.drain_events() if "16000 Hz nominal" in event.text]
    assert warnings
    assert "is its sample rate set right?" in warnings[0]


def test_a_sound_card_within_500_ppm_is_not_suspected() -> None:
    card = SoundCard(400.0, read_late)
    align = aligner()
    play(card, align, (0, 60))
    assert not align.drift().rate_suspect
    assert align.drain_events() == []


def test_the_offset_of_a_device_moves_its_sound_by_just_that() -> None:
    """The picture of a clap is stamped 80 ms after its sound, so the sound belongs 80 ms later."""
    card = SoundCard()
    align = aligner(offset_ns=80 * NS_PER_MS)
    windows = [window for window in play(card, align, (0, 5)) if not window.missing]
    assert windows
    for window in windows:
        assert window.error_ms == pytest.approx(-80, abs=0.1)


def test_the_reported_skew_bounds_the_error_it_speaks_of() -> None:
    """Four standard errors hold the true error."""
    card = SoundCard(100.0, either_way, StampGrade.B, block_samples=320)
    align = aligner()
    for window in play(card, align, (0, 60)):
        if not window.missing:
            assert abs(window.error_ms) < 4 * window.skew_ms + 0.1


def test_memory_is_bounded_however_long_it_runs() -> None:
    """150 s are 3,750 blocks and 1,500 windows: to keep 16 bytes of each would be 84 kB."""
    card = SoundCard(100.0, read_late)
    align = aligner()
    tracemalloc.start()
    try:
        play(card, align, (0, 100), every_ms=100)  # longer than the fit remembers
        held = held_by_the_stream()
        play(card, align, (100, 250), every_ms=100)
        assert held_by_the_stream() - held < 40_000
    finally:
        tracemalloc.stop()


def held_by_the_stream() -> int:
    """Bytes that were allocated in the room `stream`; what else goes on in this process does not count."""
    gc.collect()
    room = tracemalloc.Filter(True, str(Path(cavs.stream.__file__).parent / "*"))
    return sum(part.size for part in tracemalloc.take_snapshot().filter_traces([room]).statistics("filename"))
