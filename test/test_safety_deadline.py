"""The deadline: late answers are not driven, very late ones stop, and the watchdog acts when the planner cannot."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dyna_nav.safety.deadline import DeadlineConfig, DeadlineMonitor, Watchdog

CONFIG = DeadlineConfig()
ON_TIME, LATE = 0.5 * CONFIG.budget, CONFIG.budget + 0.01
FAR_TOO_LATE = CONFIG.budget + CONFIG.overrun_to_stop + 0.01
PATIENCE = 10.0  # a thread that does not answer for so long never will [s]


def commands(speed):
    return np.array([[speed, 0.1], [speed, -0.1]])


class TestMonitor:
    def test_an_answer_on_time_is_driven(self):
        verdict = DeadlineMonitor().finish(ON_TIME, commands(1.0))
        assert np.array_equal(verdict.commands, commands(1.0))
        assert (verdict.late, verdict.reason) == (False, None)

    def test_a_late_answer_is_not_driven_but_the_previous_again(self):
        monitor = DeadlineMonitor()
        monitor.finish(ON_TIME, commands(0.5))
        verdict = monitor.finish(LATE, commands(1.5))
        assert np.array_equal(verdict.commands, commands(0.5))
        assert (verdict.late, verdict.reason, monitor.misses) == (True, None, 1)

    def test_commands_that_left_late_count_as_a_miss_once(self):
        monitor = DeadlineMonitor()
        monitor.finish(ON_TIME, commands(0.5))
        monitor.sent(LATE)
        assert monitor.misses == 1
        monitor.finish(LATE, commands(0.5))
        monitor.sent(LATE)
        assert monitor.misses == 2

    def test_a_late_order_to_stand_counts_at_once(self):
        monitor = DeadlineMonitor()
        monitor.finish(ON_TIME, commands(0.5))
        late = commands(1.5)
        late[1] = 0.0
        assert np.array_equal(monitor.finish(LATE, late).commands, [commands(0.5)[0], [0.0, 0.0]])
        assert not monitor.finish(LATE, commands(1.5)).commands[1].any()

    def test_late_sending_in_a_row_stops_the_robots_as_late_answers_do(self):
        monitor = DeadlineMonitor()
        for _ in range(CONFIG.misses_to_stop):
            assert monitor.finish(ON_TIME, commands(0.5)).reason is None
            assert monitor.sent(LATE)
        assert monitor.reason == "deadline: 3 cycles in a row over 80 ms"
        for _ in range(CONFIG.cycles_to_resume):
            assert not monitor.finish(ON_TIME, commands(0.5)).commands.any() or monitor.reason is None
            assert not monitor.sent(ON_TIME)
        assert monitor.reason is None

    def test_cycles_that_never_began_are_misses(self):
        monitor = DeadlineMonitor()
        monitor.skip(2)
        assert monitor.misses == 2

    def test_late_before_there_was_any_answer_means_standing(self):
        assert not DeadlineMonitor().finish(LATE, commands(1.5)).commands.any()

    def test_late_three_times_in_a_row_stops_until_cycles_are_on_time_again(self):
        monitor = DeadlineMonitor()
        monitor.finish(ON_TIME, commands(0.5))
        verdicts = [monitor.finish(LATE, commands(1.0)) for _ in range(CONFIG.misses_to_stop)]
        assert [verdict.reason is None for verdict in verdicts] == [True, True, False]
        assert verdicts[-1].reason == "deadline: 3 cycles in a row over 80 ms"
        assert not verdicts[-1].commands.any()
        on_time = [monitor.finish(ON_TIME, commands(1.0)) for _ in range(CONFIG.cycles_to_resume)]
        assert [verdict.reason is None for verdict in on_time] == [False] * (CONFIG.cycles_to_resume - 1) + [True]
        assert np.array_equal(on_time[-1].commands, commands(1.0))

    def test_a_cycle_far_too_late_stops_at_once(self):
        verdict = DeadlineMonitor().finish(FAR_TOO_LATE, commands(1.0))
        assert verdict.reason == "deadline: a cycle took 190 ms of 80 ms"
        assert not verdict.commands.any()

    def test_a_duration_that_is_not_a_number_is_late(self):
        assert DeadlineMonitor().finish(float("nan"), commands(1.0)).late

    @given(st.lists(st.sampled_from([ON_TIME, LATE, FAR_TOO_LATE])))
    def test_no_answer_that_came_late_is_ever_driven(self, durations):
        monitor = DeadlineMonitor()
        allowed = {0.0}
        for cycle, duration in enumerate(durations, start=1):
            if duration == ON_TIME:
                allowed.add(float(cycle))
            assert monitor.finish(duration, commands(float(cycle))).commands[0, 0] in allowed
        assert monitor.misses == sum(duration > CONFIG.budget for duration in durations)


class ManualClock:
    """Passes when told to; whoever waits is woken by every step and looks again."""

    def __init__(self):
        self.time = 0.0
        self._waiting: threading.Condition | None = None
        self.waits = threading.Semaphore(0)

    def now(self):
        return self.time

    def wait(self, condition, seconds):
        self._waiting = condition
        self.waits.release()  # the watchdog has looked at the time and gone to sleep
        condition.wait()

    def advance(self, seconds):
        """Let time pass, and return when the watchdog has done what it does about it."""
        self.pass_by(seconds)
        self.settle()

    def pass_by(self, seconds):
        """Let time pass, and wait for nobody."""
        with self._waiting:
            self.time += seconds
            self._waiting.notify_all()

    def settle(self):
        assert self.waits.acquire(timeout=PATIENCE)


@pytest.fixture
def watched():
    """A watchdog on a clock that the test moves, and the log of what it did."""
    clock, log = ManualClock(), []
    watchdog = Watchdog(CONFIG, stop=lambda reason: log.append(reason), resend=lambda: log.append("again"), clock=clock)
    watchdog.start()
    clock.settle()
    yield watchdog, clock, log
    watchdog.stop()


def begin(watchdog, clock):
    deadline = watchdog.begin()
    clock.settle()
    return deadline


def test_a_cycle_on_time_hears_nothing_of_the_watchdog(watched):
    watchdog, clock, log = watched
    for _ in range(10):
        begin(watchdog, clock)
        clock.advance(ON_TIME)
        watchdog.end()
        clock.advance(1.0)
    assert log == []
    assert watchdog.misses == 0


def test_at_the_deadline_the_previous_commands_are_sent_again_once(watched):
    watchdog, clock, log = watched
    deadline = begin(watchdog, clock)
    assert deadline.remaining() == pytest.approx(CONFIG.budget)
    clock.advance(CONFIG.budget)
    assert log == ["again"]
    clock.advance(0.5 * CONFIG.overrun_to_stop)
    assert log == ["again"]
    assert deadline.remaining() < 0


def test_a_cycle_that_does_not_end_stops_the_robots_once(watched):
    watchdog, clock, log = watched
    begin(watchdog, clock)
    clock.advance(CONFIG.budget)
    clock.advance(CONFIG.overrun_to_stop)
    clock.advance(10.0)
    assert log == ["again", "a cycle has not finished after 180 ms"]
    assert (watchdog.misses, watchdog.stops) == (1, 1)


def test_the_third_late_cycle_in_a_row_stops_at_its_deadline(watched):
    watchdog, clock, log = watched
    for _ in range(3):
        begin(watchdog, clock)
        clock.advance(CONFIG.budget)
        watchdog.end()
    assert log == ["again", "again", "3 cycles in a row over 80 ms"]


def test_a_cycle_on_time_in_between_starts_the_count_anew(watched):
    watchdog, clock, log = watched
    for duration in [LATE, LATE, ON_TIME, LATE, LATE]:
        begin(watchdog, clock)
        clock.advance(duration)
        watchdog.end()
    assert log == ["again"] * 4


def test_nothing_is_sent_after_the_cycle_has_ended():
    """The planner's own answer is the last word: `end` waits for a callback that is under way."""
    clock, entered, leave, log = ManualClock(), threading.Event(), threading.Event(), []

    def resend():
        entered.set()
        assert leave.wait(PATIENCE)
        log.append("again")

    watchdog = Watchdog(CONFIG, stop=log.append, resend=resend, clock=clock)
    watchdog.start()
    clock.settle()
    begin(watchdog, clock)
    clock.pass_by(CONFIG.budget)
    assert entered.wait(PATIENCE)
    planner = threading.Thread(target=lambda: (watchdog.end(), log.append("answer")))
    planner.start()
    leave.set()
    planner.join(PATIENCE)
    watchdog.stop()
    assert log == ["again", "answer"]


def test_an_error_in_a_callback_comes_out_of_the_next_cycle():
    def fail():
        raise OSError("the publisher is gone")

    clock = ManualClock()
    watchdog = Watchdog(CONFIG, stop=lambda reason: None, resend=fail, clock=clock)
    watchdog.start()
    clock.settle()
    begin(watchdog, clock)
    clock.pass_by(CONFIG.budget)
    watchdog._thread.join(PATIENCE)
    with pytest.raises(RuntimeError, match="watchdog died"):
        watchdog.begin()
    watchdog.stop()


def test_the_watchdog_acts_while_compiled_code_runs():
    """The planner's heavy work releases the interpreter: a real clock, a real kernel that only the watchdog ends."""
    from numba import njit

    @njit(nogil=True)
    def busy(flag, turns):
        while flag[0] == 0 and turns[0] < 10**11:  # the store below makes the compiler look at the flag every time
            turns[0] += 1

    flag = np.zeros(1, np.int64)
    busy(np.ones(1, np.int64), np.zeros(1, np.int64))  # compiled before the clock runs
    reasons = []

    def stop(reason):
        reasons.append(reason)
        flag[0] = 1

    watchdog = Watchdog(CONFIG, stop)
    watchdog.start()
    watchdog.begin()
    busy(flag, np.zeros(1, np.int64))
    watchdog.end()
    watchdog.stop()
    assert reasons == ["a cycle has not finished after 180 ms"]
