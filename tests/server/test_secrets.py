"""Where tokens are not, who listens, and what a client can not choose."""

import json
import os
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
from pages import ask, pair
from proxy import ORIGIN, Proxy
from raw_channel import RawChannel


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("proxy")
    settings = ("--state", str(folder / "state"), "--log-level", "DEBUG", "--site", ORIGIN)
    env = {"JUPYTER_RUNTIME_DIR": str(folder / "runtime")}
    started = Proxy(*settings, env=env, log=folder / "log")
    started.folder = folder
    started.secrets = {"operator": started.token, "code": started.code}
    started.secrets["page"] = pair(started, started.code)
    yield started
    started.interrupt()
    assert not found_secrets(started)


def found_secrets(proxy):
    """Return which secrets are in which files of the proxy."""
    return [
        (name, file.name)
        for file in proxy.folder.rglob("*")
        if file.is_file()
        for name, secret in proxy.secrets.items()
        if secret.encode() in file.read_bytes()
    ]


@pytest.fixture(scope="module")
def page(proxy):
    opened = RawChannel(proxy, token=proxy.secrets["page"])
    opened.greet()
    yield opened
    opened.shut_down()


def value(page, code):
    return page.reply(page.cell(code))["msg"]["metadata"]["torch"]["result"]


def test_no_token_is_in_any_log_or_file(proxy, page):
    page.reply(page.cell("1 / 0"))
    for token in (*proxy.secrets.values(), "wrong"):
        referer = f"{ORIGIN}/lab/index.html?token={token}&code={token}"
        ask(proxy, f"?token={token}", token=token, Referer=referer)
        ask(proxy, "nothing-here", token=token, Referer=referer)
        ask(proxy, "tensors", token=token, Torch_Session="x" * 12, Referer=referer)
        ask(proxy, "pair", "POST", body=json.dumps({"code": token}).encode(), Referer=referer)
        RawChannel(proxy, session="..", token=token).close()
    assert not found_secrets(proxy)
    assert "401 GET" in (proxy.folder / "log").read_text()
    printed = proxy.printed.replace(proxy.secrets["code"], "", 2)
    assert not [secret for secret in proxy.secrets.values() if secret in printed]


def test_nor_when_the_server_fails(proxy):
    """A fault of its own is in the log with its place, and tells the page nothing."""
    file = proxy.folder / "state" / "tokens.json"
    kept = file.read_bytes()
    file.write_text("not JSON")
    try:
        for token in (proxy.secrets["page"], proxy.secrets["operator"]):
            referer = f"{ORIGIN}/?token={token}"
            status, headers, body = ask(proxy, token=token, Referer=referer)
            assert status == 500 and headers["Access-Control-Allow-Origin"] == ORIGIN
            message = "The server could not do this; its log says why."
            assert json.loads(body) == {"reason": "bad-request", "message": message}
    finally:
        file.write_bytes(kept)
    assert "request failed method=GET error=ValueError" in (proxy.folder / "log").read_text()
    assert not found_secrets(proxy)
    assert ask(proxy, token=proxy.secrets["page"])[0] == 200


def test_no_token_is_in_a_kernel(proxy, page):
    shown = value(page, "import json, os; json.dumps(dict(os.environ))")
    assert "PATH" in shown and "JUPYTER_TORCH_TOKEN" not in shown
    assert not [secret for secret in proxy.secrets.values() if secret in shown]
    command = value(page, "open('/proc/self/cmdline').read()")
    assert not [secret for secret in proxy.secrets.values() if secret in command]


def test_everything_listens_on_loopback(proxy, page):
    kernel = psutil.Process(value(page, "import os; os.getpid()"))
    server = psutil.Process(proxy.process.pid)
    processes = {server, kernel, *server.children(True), *kernel.children(True)}
    listening = {
        (process, line.laddr.ip)
        for process in processes
        for line in process.net_connections("inet")
        if line.status == psutil.CONN_LISTEN
    }
    # ipykernel itself (7.4) listens to its child processes, for what they print.
    assert listening in ({(server, "127.0.0.1")}, {(server, "127.0.0.1"), (kernel, "127.0.0.1")})


def test_a_tensor_belongs_to_its_session(proxy, page):
    other = RawChannel(proxy, token=proxy.secrets["page"])
    other.greet()
    handles, last = set(), {}
    for channel in (page, other):
        for name in "xyz":
            cell = channel.cell(f"{name} = torch.zeros(2**20)", assigned=[name])
            reply = channel.reply(cell)
            [tensor] = reply["msg"]["metadata"]["torch"]["tensors"]
            handles.add(tensor["handle"])
        last[channel.session] = tensor["handle"]
    # 144 random bits each.
    assert len(handles) == 6 and {len(handle) for handle in handles} == {24}

    def status(session, handle):
        headers = {"Torch_Session": session, "Torch_Handle": handle}
        return ask(proxy, "tensors", token=proxy.secrets["page"], **headers)[0]

    for session, handle in last.items():
        [stranger] = set(last) - {session}
        assert status(session, handle) == 200
        for wrong in (handle[:-1], handle.swapcase(), "", "0", "../x", handle + handle):
            assert status(session, wrong) == 404
        assert status(stranger, handle) == status("x" * 12, handle) == 404
    other.shut_down()


def test_a_client_chooses_no_command_environment_or_host(proxy):
    evil = {
        "argv": ["/bin/sh", "-c", "touch evil"],
        "env": {"EVIL": "1"},
        "cwd": "/",
        "host": "evil.example",
        "gateway": "http://evil.example",
        "kernel_spec": {"argv": ["/bin/sh"]},
        "provisioner": "evil",
    }
    page = RawChannel(proxy, token=proxy.secrets["page"], **evil)
    page.greet()
    seen = value(
        page, "import os, sys; [os.getcwd(), 'EVIL' in os.environ, 'ipykernel' in sys.modules]"
    )
    assert seen == [os.getcwd(), False, True]
    page.shut_down()
    for path in ("sessions", "channel", ""):
        url = f"{proxy.url}/kernel_proxy/api/v1/{path}?kernel_name=sh&env=EVIL&path=/"
        headers = {"Authorization": f"token {proxy.secrets['operator']}"}
        request = urllib.request.Request(url, b"{}", headers, method="POST")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=30)
        with caught.value as error:
            assert error.code == 405


def test_segments_and_files_are_for_their_owner(proxy, page):
    page.reply(page.cell("x = torch.zeros(2**20)", assigned=["x"]))
    found = [*(proxy.folder / "state").rglob("*"), *(proxy.folder / "runtime").glob("torch-proxy*")]
    modes = {oct(file.stat().st_mode & 0o777) for file in found}
    assert modes <= {"0o700", "0o600"} and found
    for link in Path(f"/proc/{proxy.process.pid}/fd").iterdir():
        if "memfd:jupyterlite-torch" in os.readlink(link):
            assert link.stat().st_mode & 0o077 == 0
