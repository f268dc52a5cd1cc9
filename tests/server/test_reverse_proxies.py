"""Through what people put before the proxy, configured as docs/hosting.md says."""

import contextlib
import os
from types import SimpleNamespace

import fronts
import numpy as np
import pytest
import websockets
from proxy import Proxy
from raw_channel import RawChannel

from kernel_proxy.command.tls import self_signed

PING_S = 1
#: nginx' own is 60 s; what keeps a silent line open is the same.
NGINX_TIMEOUT_S = 3
TIMEOUTS = f"proxy_read_timeout {NGINX_TIMEOUT_S}s; proxy_send_timeout {NGINX_TIMEOUT_S}s;"


@pytest.fixture(scope="module")
def proxy():
    started = Proxy("--ping-every", str(PING_S))
    yield started
    started.interrupt()


@pytest.fixture
def certificate(tmp_path, monkeypatch):
    made = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.cert))
    return made


def everything_passes(open_notebook, url):
    """A cell runs, and 64 MiB go up and come down, more than any front takes in one body."""
    notebook = open_notebook(url=url)
    sent = np.random.default_rng(0).integers(0, 255, 64 * 2**20, dtype="u1")
    notebook.names["sent"] = sent
    notebook.torch("print('there')\ncame = sent.flip(0).clone()")
    assert (notebook.names["came"] == sent[::-1]).all()


def silence(url, proxy):
    """Print nothing for longer than nginx waits, then something; return what was heard of it."""
    channel = RawChannel(SimpleNamespace(url=url, token=proxy.token))
    try:
        assert channel.greet()["type"] == "welcome"
        cell = channel.cell(f"import time\ntime.sleep({2 * NGINX_TIMEOUT_S})\nprint('awake')")
        return channel.printed(cell, "awake")
    finally:
        channel.close()


@pytest.mark.program("nginx", "openssl")
def test_nginx(proxy, open_notebook, certificate, tmp_path):
    with fronts.nginx(tmp_path, proxy, certificate, TIMEOUTS) as url:
        everything_passes(open_notebook, url)
        assert silence(url, proxy) == "awake\n"


@pytest.mark.program("nginx", "openssl")
def test_nginx_cuts_a_line_on_which_the_proxy_says_nothing(start_proxy, certificate, tmp_path):
    proxy = start_proxy("--ping-every", "60")
    with (
        fronts.nginx(tmp_path, proxy, certificate, TIMEOUTS) as url,
        pytest.raises(websockets.ConnectionClosed),
    ):
        silence(url, proxy)


@pytest.mark.program("caddy", "openssl")
def test_caddy(proxy, open_notebook, certificate, tmp_path):
    with fronts.caddy(tmp_path, proxy, certificate) as url:
        everything_passes(open_notebook, url)


@pytest.mark.program("sshd", "ssh", "ssh-keygen")
def test_ssh_tunnel(proxy, open_notebook, tmp_path):
    if os.geteuid() == 0:
        # Where sshd of root locks itself in; Debian makes it when the service starts.
        with contextlib.suppress(FileExistsError):
            os.mkdir("/run/sshd", 0o755)
    with fronts.ssh_tunnel(tmp_path, proxy) as url:
        everything_passes(open_notebook, url)
