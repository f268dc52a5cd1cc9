"""Pairing and the tokens of pages, from `jupyter torch-proxy pair` to what a page sees at the end."""

import http.client
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fronts import free_port
from hostile import RawWebSocket
from native_notebook import NativeNotebook
from pages import ask, pair, redeem
from proxy import ORIGIN, Proxy
from raw_channel import RawChannel

from jupyterlite_torch._errors import ConnectError

#: In which a token that was revoked has put its page out, in seconds.
SOON_S = 2
MIB = 2**20


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    """Where proxies and commands of these tests look for each other."""
    return {"JUPYTER_RUNTIME_DIR": str(tmp_path_factory.mktemp("runtime"))}


@pytest.fixture(scope="module")
def proxy(runtime):
    started = Proxy("--site", ORIGIN, env=runtime)
    yield started
    started.interrupt()


@pytest.fixture
def command(runtime):
    """Run `jupyter torch-proxy` with other arguments; return what it prints, whether well or ill."""

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "kernel_proxy", *arguments],
            env=os.environ | runtime,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "Traceback" not in done.stderr
        return done.stdout if done.returncode == 0 else done.stderr

    return run


@pytest.fixture
def new_page(proxy, command):
    """Pair a page by a code of the command; return its token and the token's ID."""

    def make():
        printed = command("pair", "--port", str(proxy.port))
        token = pair(proxy, re.search(r"^Code: (\S+)$", printed, re.M)[1])
        return token, listed(proxy, command)[-1][0]

    return make


def listed(proxy, command):
    lines = command("tokens", "--port", str(proxy.port)).splitlines()[1:]
    return [line.split() for line in lines]


def revoke(proxy, command, identifier):
    said = command("tokens", "--port", str(proxy.port), "--revoke", identifier)
    assert said == f"The token {identifier} is revoked.\n"
    return time.monotonic()


def test_a_server_that_runs_pairs_one_more_page(proxy, command):
    printed = command("pair")
    assert re.search(r"^Server: port \d+, state in /", printed)
    link, code = re.search(r"^Open: (\S+)\nCode: (\S+)$", printed, re.M).groups()
    assert link == f"{ORIGIN}/lab/index.html#torch={proxy.url}&code={code}"
    other = command("pair", "--address", "https://gpu.example", "--site", f"{ORIGIN}/x/")
    assert f"{ORIGIN}/x/lab/index.html#torch=https://gpu.example&code=" in other
    token = pair(proxy, code)
    assert ask(proxy, token=token)[0] == 200
    _, origin, person, *times = listed(proxy, command)[-1]
    assert origin == ORIGIN and person and len(times) == 6
    assert token not in command("tokens")


def test_a_page_that_is_not_listed_gets_no_link(command):
    assert "does not let pages of https://other.example in" in command(
        "pair", "--site", "https://other.example"
    )


def test_commands_say_what_is_missing(command, tmp_path):
    assert "no server runs on port 1 of this account" in command("pair", "--port", "1")
    assert "there is no token 12345678" in command("tokens", "--revoke", "12345678")
    assert "there is no state folder" in command("tokens", "--state", str(tmp_path / "none"))


def test_revoking_ends_channels_and_streams(proxy, command, new_page):
    (token, identifier), (other, _) = new_page(), new_page()
    page, bystander = RawChannel(proxy, token=token), RawChannel(proxy, token=other)
    assert page.greet()["type"] == bystander.greet()["type"] == "welcome"
    reply = page.reply(page.cell(f"x = torch.zeros({32 * MIB})", assigned=["x"]))
    [tensor] = reply["msg"]["metadata"]["torch"]["tensors"]
    headers = {
        "Authorization": f"token {token}",
        "Origin": ORIGIN,
        "Torch-Session": page.session,
        "Torch-Handle": tensor["handle"],
    }
    line = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)
    line.request("GET", "/kernel_proxy/api/v1/tensors", headers=headers)
    stream = line.getresponse()
    assert stream.status == 200 and len(stream.read(MIB)) == MIB
    revoked = revoke(proxy, command, identifier)
    frame = page.wait(lambda frame: frame["type"] == "ended")
    assert time.monotonic() - revoked < SOON_S
    assert frame["reason"] == "token" and "The token of this page was revoked." in frame["message"]
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        stream.read()
    line.close()
    status, _, body = ask(proxy, token=token)
    assert status == 401 and "jupyter torch-proxy pair" in json.loads(body)["message"]
    again = RawChannel(proxy, page.session, token=token)
    assert again.greet()["reason"] == "token"
    # The session is still there, and so is the other page.
    back = RawChannel(proxy, page.session, token=other)
    assert back.greet()["session"]["names"] == ["x"]
    bystander.ask("cells_request")
    for channel in (page, again, back, bystander):
        channel.close()


def test_who_was_put_out_and_stays_executes_nothing(proxy, command, new_page, tmp_path):
    """A WebSocket is closed by both ends, and one may not want to."""
    token, identifier = new_page()
    page = RawChannel(proxy)
    page.greet()

    def make(name):
        """A frame whose cell makes a file, if it is run."""
        header = {"msg_id": f"make-{name}", "msg_type": "execute_request", "session": page.session}
        code = f"open({str(tmp_path / name)!r}, 'w').close()"
        parts = {"parent_header": {}, "metadata": {}, "content": {"code": code, "silent": False}}
        message = {"header": header | {"version": "5.4", "username": ""}, **parts}
        return json.dumps({"type": "request", "channel": "shell", "msg": message}).encode()

    def made():
        for _ in range(3):
            page.reply(page.cell("1 + 1"))
        return [file.name for file in tmp_path.iterdir()]

    with RawWebSocket(proxy) as hostile:
        assert hostile.hello(page.session, token=token)["type"] == "welcome"
        hostile.frame(make("before"))
        assert made() == ["before"]
        revoke(proxy, command, identifier)
        while hostile.receive()[0] != 8:
            pass
        assert hostile.frame(make("after"))
        assert made() == ["before"]
    page.shut_down()


def test_a_notebook_says_what_became_of_its_token(proxy, command, new_page, loop, capsys):
    token, identifier = new_page()
    program, proxy.token = proxy.token, token
    notebook = NativeNotebook(proxy, loop)
    proxy.token = program
    notebook.torch("x = 1")
    revoke(proxy, command, identifier)
    with pytest.raises(ConnectError, match="token of this page was revoked") as caught:
        notebook.torch("import time\ntime.sleep(3)")
    assert caught.value.reason == "token"
    with pytest.raises(ConnectError, match="has expired or was revoked"):
        notebook.torch("x")
    notebook.page.token, _ = new_page()
    notebook.wait(notebook.connection.connect(proxy.url))
    assert notebook.torch("x") == 1
    notebook.close()


def test_a_token_that_is_not_used_expires_and_one_that_is_does_not(start_proxy, runtime):
    life_s = 3
    proxy = start_proxy("--site", ORIGIN, "--token-lifetime", str(life_s / 86400), env=runtime)
    code, first = proxy.code, RawChannel(proxy)
    # The kernel's start may take as long as the token lives.
    first.greet()
    first.close()
    page = RawChannel(proxy, first.session, token=pair(proxy, code))
    page.greet()
    begun = time.monotonic()
    while time.monotonic() - begun < 1.5 * life_s:
        page.ask("cells_request")
        time.sleep(life_s / 10)
    used = time.monotonic()
    frame = page.wait(lambda frame: frame["type"] == "ended")
    assert "has expired: it was not used for" in frame["message"]
    assert time.monotonic() - used < life_s + SOON_S
    page.close()


def test_a_guesser_voids_the_code_and_a_new_one_works(proxy, command):
    code = re.search(r"^Code: (\S+)$", command("pair"), re.M)[1]
    answers = [redeem(proxy, f"AAAA-AAA{letter}") for letter in "ABCDE"]
    assert {status for status, _ in answers} == {403}
    status, answer = redeem(proxy, code)
    assert status == 403 and "jupyter torch-proxy pair" in answer["message"]
    assert redeem(proxy, re.search(r"^Code: (\S+)$", command("pair"), re.M)[1])[0] == 200


def test_a_second_person_needs_a_shared_account(start_proxy, runtime, command, tmp_path):
    settings = ("--site", ORIGIN, "--state", str(tmp_path / "state"))
    proxy = start_proxy(*settings, "--shared-account", env=runtime)
    assert "Shared: all who are let in have the rights of" in proxy.printed
    port = str(proxy.port)
    printed = command("pair", "--port", port, "--person", "somebody-else")
    token = pair(proxy, re.search(r"^Code: (\S+)$", printed, re.M)[1])
    assert ask(proxy, token=token)[0] == 200
    assert "somebody-else" in command("tokens", "--port", port)
    proxy.stop()
    alone = start_proxy(*settings, env=runtime)
    assert "one account, one person" in alone.printed
    status, _, body = ask(alone, token=token)
    assert status == 403 and json.loads(body)["reason"] == "person"
    assert "--shared-account" in json.loads(body)["message"]
    refused = command("pair", "--port", str(alone.port), "--person", "somebody-else")
    assert "would have all rights of it" in refused and "--shared-account" in refused


def test_the_token_for_programs_is_printed_only_where_no_link_is(start_proxy, runtime):
    proxy = start_proxy("--site", ORIGIN, env={**runtime, "JUPYTER_TORCH_TOKEN": None})
    assert "Token:" not in proxy.printed and proxy.link and proxy.code
    proxy = start_proxy(env={**runtime, "JUPYTER_TORCH_TOKEN": None})
    token = re.search(r"^Token: (\S+)$", proxy.printed, re.M)[1]
    assert ask(proxy, token=token)[0] == ask(proxy, token=token, origin=None)[0] == 200


def test_one_token_opens_so_many_sessions(start_proxy, runtime, command):
    proxy = start_proxy("--site", ORIGIN, "--max-sessions-per-token", "1", env=runtime)
    token = pair(proxy, proxy.code)
    first, second = RawChannel(proxy, token=token), RawChannel(proxy, token=token)
    answers = [first.greet(), second.greet()]
    [refused] = [answer for answer in answers if answer["type"] == "refused"]
    assert refused["reason"] == "too-many" and "--max-sessions-per-token" in refused["message"]
    # It may come back to the one it has, and a program opens others.
    program = RawChannel(proxy)
    again = RawChannel(proxy, first.session, token=token)
    assert again.greet()["type"] == program.greet()["type"] == "welcome"
    for channel in (first, second, again, program):
        channel.close()
    proxy.kill()
    assert "no server runs on port" in command("pair", "--port", str(proxy.port))
    assert not list(Path(runtime["JUPYTER_RUNTIME_DIR"]).glob(f"*-{proxy.process.pid}.json"))


def test_a_page_on_the_servers_own_origin_says_so_in_another_way(start_proxy, runtime):
    """Browsers send no `Origin` with a GET then, as where one web server has both."""
    port = free_port()
    home = f"http://127.0.0.1:{port}"
    server = start_proxy("--site", home, port=port, env=runtime)
    token = pair(server, server.code, home)
    for site, status in (("same-origin", 200), ("same-site", 401), ("cross-site", 401), ("", 401)):
        assert ask(server, token=token, origin=None, Sec_Fetch_Site=site)[0] == status
    # A token that was given to a page of another origin.
    other = start_proxy("--site", ORIGIN, env=runtime)
    token = pair(other, other.code)
    assert ask(other, token=token, origin=None, Sec_Fetch_Site="same-origin")[0] == 401


def test_revoking_all_voids_codes_too(proxy, command, new_page):
    token, _ = new_page()
    code = re.search(r"^Code: (\S+)$", command("pair", "--port", str(proxy.port)), re.M)[1]
    assert "tokens are revoked" in command("tokens", "--port", str(proxy.port), "--revoke-all")
    assert ask(proxy, token=token)[0] == 401 and redeem(proxy, code)[0] == 403
    assert ask(proxy, token=proxy.token)[0] == 200
    assert command("tokens", "--port", str(proxy.port)) == "No page has a token.\n"


def test_ctrl_c_ends_what_was_paired(start_proxy, runtime, tmp_path):
    proxy = start_proxy("--site", ORIGIN, "--state", str(tmp_path / "state"), env=runtime)
    token = pair(proxy, proxy.code)
    proxy.interrupt()
    assert list(tmp_path.iterdir()) == []
    proxy.start()
    assert ask(proxy, token=token)[0] == 401
