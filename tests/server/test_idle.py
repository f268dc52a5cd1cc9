"""What nobody uses ends: sessions, and the proxy. What runs or waits does not."""

import json
import subprocess
import sys
import time
import urllib.request

import psutil
import pytest
from native_notebook import NativeNotebook
from processes import gone, wait_until
from raw_channel import PATIENCE_S, RawChannel

from jupyterlite_torch._errors import ConnectError

#: Seconds without anything after which a session or the proxy ends here.
LIMIT_S = 4


def minutes(seconds):
    return str(seconds / 60)


@pytest.fixture
def culling(start_proxy, tmp_path):
    """A proxy that ends idle sessions, and has a state folder."""
    return start_proxy("--cull-after", minutes(LIMIT_S), "--state", str(tmp_path / "state"))


def kernel_of(channel):
    cell = channel.cell("import os\nos.getpid()")
    return psutil.Process(channel.reply(cell)["msg"]["metadata"]["torch"]["result"])


def saved_cells(state):
    """The file that a later proxy reads of the only session's cells, with all in it."""
    (session,) = (state / "sessions").iterdir()
    cells = session / "cells.json"
    wait_until(lambda: cells.exists() and not cells.with_suffix(".jsonl").exists())
    return cells


def is_kind(kind):
    return lambda frame: frame["type"] == "event" and frame["msg"]["header"]["msg_type"] == kind


def is_ended(frame):
    return frame["type"] == "ended"


def opened(proxy, *arguments):
    page = RawChannel(proxy, *arguments)
    page.greet()
    return page


def test_an_idle_session_is_ended_and_its_pages_are_told(culling, tmp_path):
    page = opened(culling)
    kernel = kernel_of(page)
    began = time.monotonic()
    # It is connected all the time, and answers pings.
    page.send(type="ping")
    notice = page.wait(is_kind("notice"))["msg"]
    assert time.monotonic() - began > LIMIT_S / 2 - 0.5
    assert "This session ends in 2 seconds" in notice["content"]["text"]
    assert "--cull-after" in notice["content"]["text"] and notice["parent_header"] == {}
    frame = page.wait(is_ended)
    assert time.monotonic() - began > LIMIT_S - 0.5
    assert "nothing had run in it for 4 seconds" in frame["message"]
    assert "variables are gone" in frame["message"]
    wait_until(lambda: gone(kernel))
    assert list((tmp_path / "state" / "sessions").iterdir()) == []

    # A page that believes it is still there.
    refused = RawChannel(culling, page.session, page.log, page.seq).greet()
    assert (refused["type"], refused["reason"]) == ("refused", "ended")
    assert refused["message"] == frame["message"]
    # One that begins anew is told once.
    again = RawChannel(culling, page.session)
    welcome = again.greet()
    assert welcome["new"] and welcome["ended"] == frame["message"]
    assert (
        opened(culling, page.session)
        and json.loads((tmp_path / "state" / "ended.json").read_text()) == {}
    )


def test_a_cell_after_the_warning_keeps_the_session(culling):
    page = opened(culling)
    kernel = kernel_of(page)
    page.wait(is_kind("notice"))
    page.reply(page.cell("x = 1"))
    # Warned once more, so it was not ended meanwhile.
    page.wait(is_kind("notice"))
    assert page.reply(page.cell("x"))["msg"]["metadata"]["torch"]["result"] == 1
    assert kernel.is_running()


def test_nothing_ends_while_a_cell_runs_or_waits(start_proxy, tmp_path):
    proxy = start_proxy("--cull-after", minutes(2), "--exit-when-idle", minutes(LIMIT_S))
    asks = opened(proxy)
    asking = asks.cell("name = input('who? ')\nname", allow_stdin=True)
    runs = opened(proxy)
    late = tmp_path / "late"
    running = runs.cell(
        f"import pathlib, time\ntime.sleep(6)\npathlib.Path({str(late)!r}).touch()\n1"
    )
    queued = runs.cell("2")
    # Nobody is connected for three times the limit.
    runs.close()
    wait_until(late.exists)
    runs = RawChannel(proxy, runs.session, runs.log, runs.seq)
    assert not runs.greet()["new"]
    question = asks.event(asking, "input_request")["msg"]
    asks.request("stdin", "input_reply", {"value": "me"}, parent=question["header"])
    assert asks.reply(asking)["msg"]["metadata"]["torch"]["result"] == "me"
    assert runs.reply(running)["msg"]["metadata"]["torch"]["result"] == 1
    assert runs.reply(queued)["msg"]["metadata"]["torch"]["result"] == 2
    # And then they end.
    assert runs.wait(is_ended) and asks.wait(is_ended)
    assert proxy.process.wait(timeout=PATIENCE_S) == 0


def test_what_a_thread_prints_keeps_the_session(culling):
    page = opened(culling)
    code = (
        "import threading, time\ndef work():\n    for i in range(24):\n"
        "        time.sleep(0.25)\n        print(i)\n    print('done')\n"
        "threading.Thread(target=work).start()"
    )
    cell = page.cell(code)
    page.reply(cell)
    page.printed(cell, "done")
    assert page.reply(page.cell("1"))["msg"]["metadata"]["torch"]["result"] == 1


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_session_of_an_earlier_proxy_is_culled(start_proxy, tmp_path, end):
    state = tmp_path / "state"
    proxy = start_proxy("--cull-after", minutes(20), "--state", str(state))
    page = opened(proxy)
    kernel = kernel_of(page)
    file = saved_cells(state)
    getattr(proxy, end)()
    page.close()
    # As if that had been half a day ago.
    record = json.loads(file.read_text())
    record["active"] = {clock: value - 43200 for clock, value in record["active"].items()}
    file.write_text(json.dumps(record))
    began = time.monotonic()
    proxy.start()
    again = RawChannel(proxy, page.session, page.log, page.seq)
    assert not again.greet()["new"]
    # There is the time for a warning all the same.
    again.wait(is_kind("notice"))
    again.wait(is_ended)
    assert 8 < time.monotonic() - began < 20
    wait_until(lambda: gone(kernel))
    # A proxy that is started then knows of it as well.
    getattr(proxy, end)()
    proxy.start()
    assert RawChannel(proxy, page.session, page.log, page.seq).greet()["reason"] == "ended"
    assert RawChannel(proxy, page.session).greet()["ended"]


def test_a_jump_of_the_wall_clock_ends_nothing(start_proxy, tmp_path):
    state = tmp_path / "state"
    proxy = start_proxy("--cull-after", minutes(600), "--state", str(state))
    page = opened(proxy)
    kernel_of(page)
    file = saved_cells(state)
    proxy.stop()
    page.close()
    record = json.loads(file.read_text())
    # The clock was a year late then.
    record["active"]["wall"] -= 365 * 86400
    file.write_text(json.dumps(record))
    proxy.start()
    again = RawChannel(proxy, page.session, page.log, page.seq)
    again.greet()
    (listed,) = _sessions(proxy)
    assert time.time() - listed["last_activity"] < 60


def _sessions(proxy):
    request = urllib.request.Request(
        f"{proxy.url}/kernel_proxy/api/v1/sessions",
        headers={"Authorization": f"token {proxy.token}"},
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)["sessions"]


def test_a_notebook_is_warned_and_told(culling, loop, capfd):
    notebook = NativeNotebook(culling, loop)
    notebook.torch("x = 1")
    ended = notebook.connection.channel._pump
    notebook.wait(ended)
    said = capfd.readouterr().err
    assert "This session ends in 2 seconds" in said
    assert "was ended by the server" in said and "--cull-after" in said
    notebook.names["y"] = [1]
    notebook.torch("z = y + ['x' in globals()]")
    assert "A new one has begun." in capfd.readouterr().err
    assert notebook.names["z"] == [1, False]
    notebook.close()


def test_a_job_keeps_the_session(start_proxy, loop):
    notebook = NativeNotebook(start_proxy("--cull-after", minutes(3)), loop)
    job = notebook.torch("import time\ntime.sleep(7)\nkept = 1", "--bg")
    notebook.wait(job)
    assert notebook.names["kept"] == 1
    notebook.close()


def test_an_idle_proxy_ends_itself_and_its_kernels(start_proxy, tmp_path, loop):
    state = tmp_path / "state"
    proxy = start_proxy("--exit-when-idle", minutes(LIMIT_S), "--state", str(state))
    page = opened(proxy)
    kernel = kernel_of(page)
    assert "The server ends in 2 seconds" in page.wait(is_kind("notice"))["msg"]["content"]["text"]
    assert "--exit-when-idle" in page.wait(is_ended)["message"]
    assert proxy.process.wait(timeout=PATIENCE_S) == 0
    said = proxy.process.stdout.read()
    assert "nothing has run here for 4 seconds (--exit-when-idle)" in said
    wait_until(lambda: gone(kernel))
    assert not state.exists()
    with pytest.raises(ConnectError, match="Nothing answers"):
        NativeNotebook(proxy, loop)


def test_a_session_that_was_shut_down_keeps_no_proxy(start_proxy):
    proxy = start_proxy("--exit-when-idle", minutes(2))
    page = opened(proxy)
    cell = page.cell("import time\nprint('begun')\ntime.sleep(600)")
    page.printed(cell, "begun")
    page.ask("shutdown_request", restart=False)
    assert proxy.process.wait(timeout=PATIENCE_S) == 0


def test_a_proxy_that_nobody_ever_used_ends_as_well(start_proxy):
    proxy = start_proxy("--exit-when-idle", minutes(1))
    assert proxy.process.wait(timeout=PATIENCE_S) == 0


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "soon"])
def test_a_time_that_is_none_is_refused(value):
    command = [sys.executable, "-m", "kernel_proxy", "--port", "0", f"--cull-after={value}"]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert outcome.returncode == 2 and "--cull-after" in outcome.stderr
