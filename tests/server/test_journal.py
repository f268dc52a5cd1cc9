"""The log of a proxy: what an operator wants is in it, and nothing that is a user's or a secret."""

import json
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
import websockets
from native_notebook import NativeNotebook
from pages import pair, redeem
from proxy import ORIGIN, Proxy
from raw_channel import RawChannel

from jupyterlite_torch._errors import KernelDied, ServerError
from kernel_proxy.access.tokens import Tokens

#: What must not be in a log: each is said to the proxy in its own place.
TOKEN, CODE, OUTPUT, VALUE, NAME = (
    "the-token-2f8a61c4", "user_code_71be", "user-output-93cd", "user-value-55fe", "user_name_a402",
)  # fmt: skip
#: Put into the proxy's process alone: a route that fails as no route should.
BROKEN = """
import kernel_proxy.web.handlers as handlers
@handlers.allow_unauthenticated
def get(self):
    raise RuntimeError("broken by " + self.request.headers["Authorization"])
handlers.SessionsHandler.get = get
"""


@pytest.fixture(params=["text", "json"])
def logged(request, tmp_path, loop):
    """`logged(*options)` starts a proxy; `logged.read()` ends it and returns its log."""
    (tmp_path / "sitecustomize.py").write_text(BROKEN)
    started = []

    class Logged:
        format = request.param

        def __call__(self, *options, level="DEBUG"):
            proxy = Proxy(*options, "--log-format", self.format, "--log-level", level, token=TOKEN,
                          env={"PYTHONPATH": str(tmp_path)}, log=tmp_path / "log")  # fmt: skip
            started.append(proxy)
            return proxy

        def read(self):
            started[-1].interrupt()
            return (tmp_path / "log").read_text()

    made = Logged()
    yield made
    for proxy in started:
        proxy.interrupt()


def get(proxy, path, **headers):
    request = urllib.request.Request(f"{proxy.url}/{path}", headers=headers)
    try:
        urllib.request.urlopen(request, timeout=30).close()
        return 200
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def use(proxy, loop):
    """Do what a user does, and what goes wrong."""
    notebook = NativeNotebook(proxy, loop)
    notebook.names[NAME] = VALUE
    notebook.torch(f"{CODE} = {NAME}\nprint('{OUTPUT}')")
    with pytest.raises(Exception, match=VALUE):
        notebook.torch(f"raise KeyError({NAME})")
    notebook.torch(f"import os\nos.write(2, b'{OUTPUT}')\nos.system('echo {OUTPUT} >&2')")
    with pytest.raises(ServerError):
        notebook.line(f"restart --kernel {NAME}")
    with pytest.raises(KernelDied):
        notebook.torch(f"os._exit(3) # {CODE}")
    notebook.close()


def misuse(proxy):
    """Say secrets where they do not belong; return those of pairing."""
    api = "kernel_proxy/api/v1/"
    assert get(proxy, f"{api}?token={TOKEN}&x={TOKEN}", Referer=f"http://x/?t={TOKEN}") == 401
    assert get(proxy, f"{api}sessions", Authorization=f"token {TOKEN}") == 500
    assert get(proxy, api, Authorization=f"token {TOKEN}", Origin="http://evil.example") == 403
    assert get(proxy, f"nowhere?key={TOKEN}") != 200
    channel = RawChannel(proxy)
    channel.greet()
    channel.send(type=CODE, token=TOKEN)
    with pytest.raises(websockets.ConnectionClosed):
        while True:
            channel.receive()
    wrong = "ABCD-EFGH"
    assert redeem(proxy, wrong)[0] == 403
    paired = pair(proxy, proxy.code)
    assert get(proxy, api, Authorization=f"token {paired}", Origin=ORIGIN) == 200
    return wrong, proxy.code, paired


def lose_state(proxy, state):
    """Take the folder of a session away; return the session's name."""
    channel = RawChannel(proxy)
    channel.greet()
    shutil.rmtree(state / "sessions" / channel.session)
    channel.reply(channel.cell("1"))
    channel.shut_down()
    return channel.session


def test_nothing_of_a_user_is_in_the_log(logged, loop, tmp_path):
    proxy = logged("--state", str(tmp_path / "state"))
    use(proxy, loop)
    pairing = misuse(proxy)
    session = lose_state(proxy, tmp_path / "state")
    log = logged.read()
    # It has heard of all of it.
    for said in (
        *("request failed", "RuntimeError", "cell ended", "kernel died", "origin refused"),
        *("code refused", "page paired", "state not saved"),
    ):
        assert said in log
    for secret in (TOKEN, CODE, OUTPUT, VALUE, NAME, session, *pairing):
        assert secret not in log


def lines_of(log, format):
    """Return what each line says, and its fields."""
    if format == "json":
        lines = [json.loads(line) for line in log.splitlines()]
        assert all({"time", "level", "what"} <= line.keys() for line in lines)
        return lines
    lines = []
    for line in re.findall(r"^\[\w .*? KernelProxy\] (.*)$", log, re.M):
        what, *fields = re.split(r" (?=\w+=)", line)
        lines.append({"what": what, **dict(field.split("=", 1) for field in fields)})
    return lines


def test_one_line_for_each_thing(logged, loop, tmp_path):
    state = tmp_path / "state"
    limits = ("--max-queued", "1", "--max-sessions", "1")
    proxy = logged(*limits, "--state", str(state), level="INFO")
    notebook = NativeNotebook(proxy, loop)
    notebook.torch("x = torch.ones(3)")
    session = notebook.page.session
    channel = RawChannel(proxy, session=session)
    channel.greet()
    running = channel.cell("import time\nprint('runs')\ntime.sleep(60)")
    channel.printed(running, "runs")
    channel.cell("1")
    refused = channel.cell("2")
    assert channel.reply(refused)["msg"]["content"]["ename"] == "Refused"
    assert RawChannel(proxy).greet()["reason"] == "too-many"
    get(proxy, "kernel_proxy/api/v1/", Origin="http://evil.example")
    redeem(proxy, "ABCD-EFGH")
    paired = RawChannel(proxy, session, token=pair(proxy, proxy.code))
    paired.greet()
    [token] = Tokens(state).good()
    Tokens(state).revoke(token.id)
    assert paired.wait(lambda frame: frame["type"] == "ended")["reason"] == "token"
    channel.shut_down()
    log = logged.read()
    lines = lines_of(log, logged.format)
    assert "\x1b" not in log

    def one(what, **fields):
        wanted = {key: str(value) for key, value in fields.items()}
        found = [line for line in lines if line["what"] == what]
        found = [f for f in found if wanted.items() <= {k: str(v) for k, v in f.items()}.items()]
        assert len(found) == 1, (what, lines)
        return found[0]

    name = session[:6]
    assert one("server started", kernels="python3")["origins"] == ORIGIN
    one("session started", session=name, kernel="python3")
    ended = one("cell ended", session=name, outcome="ok", bytes_up=0, bytes_down=12)
    assert float(ended["seconds"]) < 60
    one("limit hit", session=name, limit="--max-queued")
    one("limit hit", limit="--max-sessions")
    one("origin refused", origin="http://evil.example")
    one("code refused", origin=ORIGIN)
    one("page paired", origin=ORIGIN, token=token.id)
    one("page put out", token=token.id)
    one("session ended", session=name, why="asked")
    one("server ends")


@pytest.mark.parametrize("logged", ["json"], indirect=True)
def test_a_session_that_is_culled(logged, loop):
    proxy = logged("--cull-after", str(0.5 / 60), level="INFO")
    channel = RawChannel(proxy)
    channel.greet()
    channel.wait(lambda frame: frame["type"] == "ended")
    ended = [line for line in lines_of(logged.read(), logged.format) if "ended" in line["what"]]
    assert [(line["what"], line["why"]) for line in ended] == [("session ended", "idle")]


@pytest.mark.parametrize("logged", ["json"], indirect=True)
def test_a_kernel_that_can_not_start_is_told(logged, loop):
    proxy = logged("--kernel", "nowhere", level="INFO")
    assert RawChannel(proxy).greet()["reason"] == "kernel-start"
    (line,) = [
        line
        for line in lines_of(logged.read(), logged.format)
        if line["what"] == "kernel not started"
    ]
    assert (line["kernel"], line["reason"]) == ("nowhere", "kernel-start")


def test_a_level_that_is_none():
    run = subprocess.run(
        [sys.executable, "-m", "kernel_proxy", "--log-level", "LOUD"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert run.returncode == 2 and "--log-level" in run.stderr
