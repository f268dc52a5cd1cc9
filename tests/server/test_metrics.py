"""What a monitor is told: health, and metrics for Prometheus."""

import json
import os

import numpy as np
import pytest
from pages import ask, pair
from prometheus_client.parser import text_string_to_metric_families
from raw_channel import RawChannel

from jupyterlite_torch._errors import KernelDied, RemoteError


def metrics(proxy):
    """Return each sample by its name and labels, as `name{label=value}`."""
    status, headers, body = ask(
        proxy, "metrics", origin=None, Authorization=f"Bearer {proxy.token}"
    )
    assert status == 200 and headers["Content-Type"].startswith("text/plain")
    found = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


@pytest.fixture
def fresh(start_proxy, monkeypatch, tmp_path):
    """A proxy of which nothing has been counted, on a machine where no nvidia-smi is found."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return start_proxy()


def test_health_is_for_all_and_says_nothing_else(proxy):
    status, headers, body = ask(proxy, "health", origin=None)
    assert (status, json.loads(body)) == (200, {"status": "ok"})
    assert "Set-Cookie" not in headers
    assert ask(proxy, "health", origin="http://evil.example")[0] == 403
    assert ask(proxy, "health", origin=None, Host="evil.example")[0] == 403


def test_metrics_are_not_for_strangers_and_pages(proxy):
    assert ask(proxy, "metrics", origin=None)[0] == 401
    assert ask(proxy, "metrics", origin=None, Authorization="Bearer wrong")[0] == 401
    good = {"Authorization": f"Bearer {proxy.token}"}
    assert ask(proxy, "metrics", **good)[0] == 403
    page = f"Bearer {pair(proxy, proxy.code)}"
    assert ask(proxy, "metrics", Authorization=page)[0] == 403
    assert ask(proxy, "metrics", origin=None, Authorization=page)[0] == 401
    assert ask(proxy, "metrics", origin=None, **good)[0] == 200


def test_metrics_say_what_has_happened(proxy, notebook):
    before = metrics(proxy)

    def more(name):
        return metrics(proxy)[name] - before[name]

    sent = np.arange(2**20, dtype="f4")
    notebook.names["sent"] = sent
    notebook.torch("came = sent + 1")
    assert (notebook.names["came"] == sent + 1).all()
    with pytest.raises(RemoteError):
        notebook.torch("1 / 0")
    assert more("torch_proxy_cell_seconds_count{outcome=ok}") == 1
    assert more("torch_proxy_cell_seconds_count{outcome=error}") == 1
    assert more("torch_proxy_to_kernel_seconds_count") == 2
    assert more("torch_proxy_to_page_seconds_count") >= 6
    assert more("torch_proxy_bytes_total{direction=up,plane=tensors}") >= sent.nbytes
    assert more("torch_proxy_bytes_total{direction=down,plane=tensors}") >= sent.nbytes
    assert more("torch_proxy_bytes_total{direction=up,plane=channel}") > 500
    assert more("torch_proxy_bytes_total{direction=down,plane=channel}") > 500


def test_metrics_say_how_things_stand(proxy, notebook):
    first = metrics(proxy)
    channel = RawChannel(proxy)
    channel.greet()
    running = channel.cell("import time\nprint('runs')\ntime.sleep(60)")
    channel.printed(running, "runs")
    waiting = channel.cell("pass")
    # The reply to a request that came later says that those before it were taken.
    channel.ask("cells_request")
    channel.send(b"x" * 1000, type="upload", id="u" * 8, start=0, total=2**20, crc32=0)
    channel.wait(lambda frame: frame["type"] == "uploaded")
    now = metrics(proxy)
    assert now["torch_proxy_sessions"] - first["torch_proxy_sessions"] == 1
    assert now["torch_proxy_listeners"] - first["torch_proxy_listeners"] == 1
    assert now["torch_proxy_cells{state=running}"] == 1
    assert now["torch_proxy_cells{state=queued}"] == 1
    assert now["torch_proxy_events_waiting"] > first["torch_proxy_events_waiting"]
    used = "torch_proxy_shared_memory_bytes"
    assert now[used] - first[used] == 2**20 <= now["torch_proxy_shared_memory_limit_bytes"]
    assert now["process_resident_memory_bytes"] > 2**20
    channel.ask("interrupt_request", cell=waiting)
    channel.shut_down()
    assert metrics(proxy)["torch_proxy_sessions"] == first["torch_proxy_sessions"]


def test_a_kernel_that_died_is_counted(proxy, notebook):
    name = "torch_proxy_kernel_deaths_total"
    before = metrics(proxy)[name]
    with pytest.raises(KernelDied):
        notebook.torch("import os; os._exit(1)")
    assert metrics(proxy)[name] == before + 1


def test_a_machine_without_a_gpu_has_no_gpu_metrics(fresh):
    assert not [name for name in metrics(fresh) if "gpu" in name]


#: In the form that the manual of nvidia-smi gives: a GPU, and a part of one (MIG) without its load.
SMI = """#!/bin/sh
echo '0, NVIDIA H200, 550.54.15, 1024, 143771, 37'
echo '1, NVIDIA A100 MIG 1g.5gb, 550.54.15, 512, 4864, [N/A]'
"""


def test_gpus_are_told_as_the_driver_does(start_proxy, tmp_path):
    # No GPU here: what stands in for the driver's program answers in the form of its manual.
    program = tmp_path / "nvidia-smi"
    program.write_text(SMI)
    program.chmod(0o700)
    found = metrics(start_proxy(env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}))
    gpu, part = "gpu=0,name=NVIDIA H200", "gpu=1,name=NVIDIA A100 MIG 1g.5gb"
    assert found[f"torch_proxy_gpu_memory_used_bytes{{{gpu}}}"] == 2**30
    assert found[f"torch_proxy_gpu_load{{{gpu}}}"] == 0.37
    assert found[f"torch_proxy_gpu_memory_bytes{{{part}}}"] == 4864 * 2**20
    assert f"torch_proxy_gpu_load{{{part}}}" not in found
