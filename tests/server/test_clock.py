"""A clock that is put right, by years, while a proxy runs and while it is away."""

import json
import os
import sys

import psutil
import pytest
from faketime import LIBRARY
from proxy import Proxy
from raw_channel import RawChannel

from kernel_proxy.kernel.kernel_process import _birth, _Found


@pytest.fixture
def clock(tmp_path):
    """Set the clock of a proxy: `clock("+3650d")`."""
    file = tmp_path / "clock"
    return file.write_text


@pytest.fixture
def proxy(tmp_path, clock):
    clock("+0d")
    # Kernels keep theirs: with libfaketime 0.9.10 none starts.
    spec = tmp_path / "kernels" / "own-clock"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    about = {"display_name": "own clock", "language": "python", "env": {"LD_PRELOAD": ""}}
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, **about}))
    started = Proxy(
        "--state",
        str(tmp_path / "state"),
        "--cull-after",
        "5",
        "--kernel",
        "own-clock",
        env={
            "JUPYTER_PATH": str(tmp_path),
            "LD_PRELOAD": LIBRARY,
            "FAKETIME_TIMESTAMP_FILE": str(tmp_path / "clock"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        },
    )
    yield started
    started.interrupt()


def run(page, code, **pull):
    reply = page.reply(page.cell(code, **pull))["msg"]
    assert reply["content"]["status"] == "ok", reply
    return reply["metadata"]["torch"]


@pytest.mark.faketime
def test_jumps(proxy, clock):
    page = RawChannel(proxy)
    page.greet()
    run(page, "w = 5")
    for jump, year in (("+3650d", 2035), ("-3650d", 2018)):
        clock(jump)
        other = RawChannel(proxy, page.session, page.log, page.seq)
        assert other.greet()["type"] == "welcome"
        cells = other.reply(other.request("control", "cells_request", {}))["msg"]
        now = int(cells["header"]["date"][:4])
        assert now > year if jump[0] == "+" else now < year
        assert run(other, "w")["result"] == 5
        other.close()
        # Neither the sessions nor what they hold are any older.
        assert page.ask("cells_request")[0]["status"] == "ok"
    clock("-7300d")
    proxy.kill()
    page.close()
    proxy.start()
    again = RawChannel(proxy, page.session, page.log, page.seq)
    welcome = again.greet()
    assert (welcome["new"], welcome["session"]["generation"]) == (False, 1)
    assert run(again, "w")["result"] == 5
    again.shut_down()


def test_a_process_is_known_by_no_time_of_day(monkeypatch):
    """psutil tells when one began by when the machine did, which a clock that is put right changes."""
    told, known = psutil.Process().create_time(), _birth(psutil.Process())
    began = psutil._pslinux.boot_time()
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: began + 3600)
    monkeypatch.setattr(psutil._pslinux, "BOOT_TIME", None, raising=False)
    assert psutil.Process().create_time() == pytest.approx(told + 3600, abs=2)
    assert _birth(psutil.Process()) == known
    with pytest.raises(psutil.NoSuchProcess):
        _Found(os.getpid(), f"{known}0")
