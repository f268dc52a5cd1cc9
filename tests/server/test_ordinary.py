"""The proxy as an extension of an ordinary `jupyter server`, and what that server's own rules mean."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime, timedelta

import psutil
import pytest
from ordinary import OrdinaryServer
from pages import ask, pair
from processes import wait_until
from proxy import ORIGIN
from raw_channel import RawChannel

from kernel_proxy.app import ACTIVITY_EVERY_S

PROVIDER = f"""
from jupyter_server.auth import Authorizer, IdentityProvider, User

class Names(IdentityProvider):
    def get_user(self, handler):
        name = handler.request.headers.get("Authorization", "").removeprefix("token name-of-")
        assert not handler.request.cookies
        return User(name) if name.isalpha() else None

class Readers(Authorizer):
    def is_authorized(self, handler, user, action, resource):
        assert resource == "kernel_proxy"
        return user.username != "reader" or action == "read"

c.ServerApp.identity_provider_class = Names
c.ServerApp.authorizer_class = Readers
c.KernelProxy.site = {ORIGIN!r}
"""


@pytest.fixture
def start(tmp_path):
    started = []

    def make(*settings, **options):
        started.append(OrdinaryServer(tmp_path / str(len(started)), *settings, **options))
        return started[-1]

    yield make
    for each in started:
        each.interrupt()


def value(page, code):
    return page.reply(page.cell(code))["msg"]["metadata"]["torch"]["result"]


def test_a_page_is_paired_and_its_session_ends_with_the_server(start):
    server = start()
    printed = subprocess.run(
        [sys.executable, "-m", "kernel_proxy", "pair", "--port", str(server.port)],
        env=os.environ | server.env,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    token = pair(server, re.search(r"^Code: (\S+)$", printed, re.M)[1])
    page, program = RawChannel(server, token=token), RawChannel(server)
    assert page.greet()["type"] == program.greet()["type"] == "welcome"
    kernels = [psutil.Process(value(one, "import os; os.getpid()")) for one in (page, program)]
    assert value(page, "float(torch.ones(2).sum())") == 2.0
    page.close()
    program.close()
    server.interrupt()
    psutil.wait_procs(kernels, timeout=30)
    assert not [kernel for kernel in kernels if kernel.is_running()]
    assert not server.state.exists()


def test_nobody_is_let_in_who_was_not_named(start):
    server = start("c.KernelProxy.origins = []")
    assert ask(server, token=server.token)[0] == 403
    assert ask(server, token=server.token, origin=f"http://127.0.0.1:{server.port}")[0] == 403
    assert ask(server, token=server.token, origin=None)[0] == 200


def first_answer(server, name):
    # A session that can not be, so that none has to start.
    page = RawChannel(server, session="../..", token=f"name-of-{name}")
    answer = page.greet()
    page.close()
    return answer["reason"], answer["message"]


@pytest.mark.parametrize(
    ("settings", "environment", "let_in"),
    [
        ((), {}, ["ana"]),
        ((), {"JUPYTERHUB_USER": "bo"}, ["bo"]),
        (["c.KernelProxy.shared_account = True"], {}, ["ana", "bo"]),
    ],
)
def test_one_account_is_for_one_person(start, monkeypatch, settings, environment, let_in):
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    server = start(PROVIDER, *settings)
    for name in ("ana", "bo", "ana"):
        status, _, body = ask(server, token=f"name-of-{name}")
        assert status == (200 if name in let_in else 403)
        assert status == 200 or b"--shared-account" in body
        assert first_answer(server, name)[0] == ("bad-request" if name in let_in else "person")


def test_the_servers_authorizer_has_its_say(start):
    server = start(PROVIDER)
    assert ask(server, token="name-of-reader")[0] == 200
    assert ask(server, "sessions", "DELETE", "name-of-reader")[0] == 403
    assert first_answer(server, "reader") == ("token", "This server does not let its user do this.")


def test_a_host_that_the_operator_has_opened_is_answered(start):
    """As a hub does for the servers that it starts."""
    assert ask(start(), token="wrong", Host="hub.example")[0] == 403
    server = start("c.ServerApp.allow_remote_access = True")
    assert ask(server, token=server.token, Host="hub.example")[0] == 200


def test_the_server_knows_when_something_has_happened(start):
    """A hub asks for this, to stop the servers that nobody uses."""
    server = start()
    page = RawChannel(server)
    assert page.greet()["type"] == "welcome"

    def last_activity():
        request = urllib.request.Request(
            f"{server.url}/api/status", headers={"Authorization": f"token {server.token}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return datetime.fromisoformat(json.loads(answer.read())["last_activity"])

    cell = page.cell("import time\nwhile True: time.sleep(0.1)")
    begun = datetime.now(UTC)
    # It runs in silence.
    wait_until(lambda: last_activity() > begun)
    wait_until(lambda: last_activity() > begun + timedelta(seconds=1))
    page.ask("interrupt_request", cell=cell)
    page.reply(cell)
    ended = datetime.now(UTC)
    # Looked at again and again, which is no activity.
    quiet = last_activity()
    wait_until(lambda: datetime.now(UTC) > ended + timedelta(seconds=2 * ACTIVITY_EVERY_S))
    assert quiet <= last_activity() <= ended + timedelta(seconds=1)
    page.shut_down()
