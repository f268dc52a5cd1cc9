"""A long cell gives way to the short ones of others, for as long as it runs."""

import pathlib

import pytest
from processes import wait_until
from raw_channel import RawChannel

GROUPS = pathlib.Path("/proc/sys/kernel/sched_autogroup_enabled")


def niceness(pid):
    return int(pathlib.Path(f"/proc/{pid}/autogroup").read_text().split()[-1])


@pytest.mark.skipif(
    not GROUPS.exists() or GROUPS.read_text().strip() != "1",
    reason="Linux's scheduler has no groups of sessions here",
)
def test_while_it_runs(proxy):
    page = RawChannel(proxy)
    page.greet()
    reply = page.reply(page.cell("import os, time; pid = os.getpid()", assigned=["pid"]))
    pid = reply["msg"]["metadata"]["torch"]["values"]["pid"]
    assert niceness(pid) == 0
    cell = page.cell("while True: time.sleep(0.01)")
    wait_until(lambda: niceness(pid) == 5)
    page.ask("interrupt_request", cell=cell)
    assert page.reply(cell)["msg"]["content"]["ename"] == "KeyboardInterrupt"
    wait_until(lambda: niceness(pid) == 0)
    page.shut_down()
