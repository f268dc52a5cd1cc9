"""The event log: numbers, what is forgotten, what is given up, what a later proxy finds."""

import asyncio
import json
import logging
import os

import pytest

from kernel_proxy.session import event_log
from kernel_proxy.session.event_files import EventFiles
from kernel_proxy.session.event_log import EventLog


@pytest.fixture
def open_log(tmp_path):
    """Open the log of one folder: `open_log(quota=..., memory=...)`, again and again."""
    opened = []

    def make(quota=10**6, memory=10**6):
        files = EventFiles(tmp_path / "events", quota)
        opened.append(EventLog(files, memory, logging.getLogger()))
        return opened[-1]

    yield make
    for log in opened:
        log.close()


def read(log, seq=0):
    """Return the numbers of all events after `seq`, read as a listener does."""
    found = []
    while events := log.after(seq):
        found += events
        seq = events[-1].seq
    return [event.seq for event in found]


def fill(log, count, size=100):
    for _ in range(count):
        log.append("iopub", b'"' + b"x" * size + b'"')


def test_events_are_numbered_and_readable(open_log):
    log = open_log()
    log.append("iopub", b'{"header":{}}', (b"ab", b""))
    (event,) = log.after(0)
    assert json.loads(event.text) == {
        "type": "event", "seq": 1, "channel": "iopub", "buffers": [2, 0], "msg": {"header": {}},
    }  # fmt: skip
    assert (event.channel, event.buffers) == ("iopub", (b"ab", b""))
    assert log.after(1) == []


def test_acknowledged_events_are_forgotten(open_log):
    log = open_log()
    fill(log, 5)
    log.forget(3)
    assert (log.first, log.last, read(log), read(log, 4)) == (4, 5, [4, 5], [5])


def test_what_memory_has_no_room_for_is_read_from_disk(open_log):
    log = open_log(memory=1000)
    fill(log, 1000)
    assert len(log._events) < 10
    assert log.first == 1 and read(log) == list(range(1, 1001))
    log.append("shell", b"{}", (b"a" * 2000, b"b"))
    fill(log, 10)
    event = next(event for event in log.after(1000) if event.seq == 1001)
    assert event.channel == "shell" and event.buffers == (b"a" * 2000, b"b")


def test_a_reader_far_behind_gets_one_file_at_a_time(open_log, tmp_path):
    log = open_log(quota=800_000, memory=1000)
    fill(log, 3000)
    # An eighth of the quota, and the event that made it full.
    assert sum(event.nbytes for event in log.after(0)) < 140_000
    assert len(list((tmp_path / "events").glob("*.events"))) > 4


def test_the_quota_gives_up_the_oldest(open_log):
    log = open_log(quota=10_000, memory=1000)
    fill(log, 1000)
    assert 900 < log.first < 1000
    assert read(log) == list(range(log.first, 1001))


def test_one_event_above_the_quota_is_kept(open_log):
    log = open_log(quota=1000, memory=10)
    fill(log, 1, size=5000)
    assert read(log) == [1]


def test_forgotten_events_give_their_files_back(open_log, tmp_path):
    log = open_log(quota=80_000, memory=1000)
    fill(log, 300)
    before = len(list((tmp_path / "events").glob("*.events")))
    log.forget(250)
    assert len(list((tmp_path / "events").glob("*.events"))) < before
    assert (log.first, read(log)) == (251, list(range(251, 301)))
    log.forget(300)
    assert read(log) == []
    fill(log, 1)
    assert read(log) == [301]


def test_a_later_proxy_goes_on(open_log):
    log = open_log(quota=80_000)
    fill(log, 300)
    log.close()
    again = open_log(quota=80_000)
    assert (again.id, again.last, read(again)) == (log.id, 300, list(range(1, 301)))
    fill(again, 300)
    assert read(again, 290) == list(range(291, 601))


@pytest.mark.parametrize("missing", [1, 3, 50, 100, 160])
def test_a_torn_event_is_cut_off(open_log, tmp_path, missing):
    log = open_log()
    fill(log, 3)
    log.close()
    (file,) = (tmp_path / "events").glob("*.events")
    os.truncate(file, file.stat().st_size - missing)
    again = open_log()
    assert again.last == 2 and read(again) == [1, 2]
    fill(again, 2)
    again.close()
    assert read(open_log()) == [1, 2, 3, 4]


def test_a_full_disk_stops_nothing(tmp_path, monkeypatch, caplog):
    told = []
    files = EventFiles(tmp_path / "events", 10**6)
    log = EventLog(files, 1000, logging.getLogger(), told.append)
    fill(log, 100)
    write, room = os.write, 70

    def full(descriptor, data):
        """As a disk does that has room for a part of it."""
        nonlocal room
        if not room:
            raise OSError(28, "No space left on device")
        written = write(descriptor, data[:room])
        room -= written
        return written

    monkeypatch.setattr(os, "write", full)
    fill(log, 50)
    assert told == ["No space left on device"] and "No space left" in caplog.text
    held = log._events[0].seq
    assert log.first == 1 and read(log) == [*range(1, 101), *range(held, 151)]
    # There is room again.
    monkeypatch.setattr(os, "write", write)
    log._retry_at = 0
    fill(log, 100)
    assert read(log) == [*range(1, 101), *range(151, 251)]
    assert read(log, 120) == list(range(151, 251)) and len(told) == 1
    log.close()
    again = EventLog(EventFiles(tmp_path / "events", 10**6), 1000, logging.getLogger())
    assert again.last == 250 and read(again) == [*range(1, 101), *range(151, 251)]
    again.close()


@pytest.mark.parametrize(("followed_s", "follows"), [(3600, True), (0.01, False)])
def test_what_is_followed_waits_for_what_follows(open_log, monkeypatch, followed_s, follows):
    monkeypatch.setattr(event_log, "FOLLOWED_S", followed_s)

    async def run():
        log = open_log()
        waiter = asyncio.ensure_future(log.grown(0))
        await asyncio.sleep(0)
        log.append("iopub", b"{}", followed=True)
        if follows:
            for _ in range(5):
                await asyncio.sleep(0)
            assert not waiter.done()
            log.append("iopub", b"{}")
        await asyncio.wait_for(waiter, 30)
        assert read(log) == [1, 2][: log.last]

    asyncio.run(run())


def test_waiting_for_growth(open_log):
    async def run():
        log = open_log()
        waiters = [asyncio.ensure_future(log.grown(0)) for _ in range(3)]
        await asyncio.sleep(0)
        log.append("iopub", b"{}")
        await asyncio.wait_for(asyncio.gather(*waiters), 1)
        await asyncio.wait_for(log.grown(0), 1)

    asyncio.run(run())
