"""Idle times: over clocks that jump, in words, and the bound on what is remembered."""

import time

import pytest

from kernel_proxy.session import idle
from kernel_proxy.session.idle import Ended, duration, moment, seconds_since
from kernel_proxy.session.state import State


@pytest.mark.parametrize("jump", [-86400, -1, 0, 1, 86400])
def test_the_clock_that_says_less_counts(monkeypatch, jump):
    before = moment(0)
    now = time.time(), time.monotonic()
    monkeypatch.setattr(time, "time", lambda: now[0] + 100 + jump)
    monkeypatch.setattr(time, "monotonic", lambda: now[1] + 100)
    assert seconds_since(before) == pytest.approx(max(0, 100 + min(jump, 0)), abs=1)


def test_a_machine_that_was_started_again(monkeypatch):
    before = moment(50)
    monkeypatch.setattr(time, "monotonic", lambda: 3.0)
    assert seconds_since(before) == 0
    assert seconds_since(None) == 0


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0, "0 seconds"),
        (90, "90 seconds"),
        (599.9, "10 minutes"),
        (86400, "24 hours"),
        (259199, "3 days"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_the_newest_ended_sessions_are_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr(idle, "MAX_ENDED", 2)
    state = State(tmp_path / "state", keep=True)
    ended = Ended(state)
    for name in "abc":
        ended.add(name, f"why {name}")
    assert [Ended(state).get(name) for name in "abc"] == [None, "why b", "why c"]
    ended.forget("b")
    assert Ended(state).get("b") is None
    state.remove()
    assert not (tmp_path / "state").exists()
