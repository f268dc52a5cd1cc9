"""The event log: numbers, what is forgotten, what is given up."""

import asyncio
import json

from kernel_proxy.event_log import EventLog


def test_events_are_numbered_and_readable():
    log = EventLog(quota=10**6)
    log.append("iopub", b'{"header":{}}', (b"ab", b""))
    event = log.after(0)
    frame = json.loads(event.text)
    assert frame == {
        "type": "event", "seq": 1, "channel": "iopub", "buffers": [2, 0], "msg": {"header": {}},
    }  # fmt: skip
    assert log.after(1) is None


def test_acknowledged_events_are_forgotten():
    log = EventLog(quota=10**6)
    for _ in range(5):
        log.append("iopub", b"{}")
    log.forget(3)
    assert (log.first, log.last, log.after(0).seq, log.after(4).seq) == (4, 5, 4, 5)


def test_the_quota_gives_up_the_oldest():
    log = EventLog(quota=1000)
    for _ in range(10):
        log.append("iopub", b'"' + b"x" * 200 + b'"')
    assert log.first > 1 and log.last == 10 and log.after(9).seq == 10


def test_one_event_above_the_quota_is_kept():
    log = EventLog(quota=10)
    log.append("iopub", b'"' + b"x" * 1000 + b'"')
    assert log.after(0).seq == 1


def test_waiting_for_growth():
    async def run():
        log = EventLog(quota=10**6)
        waiters = [asyncio.ensure_future(log.grown(0)) for _ in range(3)]
        await asyncio.sleep(0)
        log.append("iopub", b"{}")
        await asyncio.wait_for(asyncio.gather(*waiters), 1)
        await asyncio.wait_for(log.grown(0), 1)

    asyncio.run(run())
