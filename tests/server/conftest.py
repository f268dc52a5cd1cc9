"""A real proxy in a process of its own, and notebooks of CPython connected to it."""

import asyncio
import os
import random
import secrets
import sys

import pytest
from native_notebook import NativeNotebook
from native_transport import closing
from pages import ask
from proxy import Proxy
from relay import Relay

#: Takes away in a kernel what the test before has assigned there.
AS_AT_FIRST = """\
if '_at_first' in globals():
    for _name in globals().keys() - _at_first:
        del globals()[_name]
else:
    _at_first = {*globals(), '_at_first', '_name'}
"""


@pytest.fixture(scope="module")
def proxy():
    started = Proxy()
    yield started
    started.interrupt()


@pytest.fixture
def rng():
    """A random generator; TEST_SEED in the environment repeats a test that failed."""
    seed = int(os.environ.get("TEST_SEED") or secrets.randbelow(10**6))
    print(f"TEST_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    if closing:
        loop.run_until_complete(asyncio.wait(closing))
        closing.clear()
    pending = asyncio.all_tasks(loop)
    for task in pending:
        task.cancel()
    if pending:
        loop.run_until_complete(asyncio.wait(pending))
    loop.close()


@pytest.fixture(scope="module")
def session(proxy):
    """The session of the tests of a file that have `one_kernel`."""
    name = secrets.token_urlsafe(12)
    yield name
    ask(proxy, "sessions", "DELETE", proxy.token, Torch_Session=name)


@pytest.fixture
def notebook(request, proxy, loop):
    if request.node.get_closest_marker("one_kernel"):
        opened = NativeNotebook(proxy, loop, request.getfixturevalue("session"))
        opened.torch(AS_AT_FIRST)
        yield opened
        opened.connection.disconnect()
    else:
        opened = NativeNotebook(proxy, loop)
        yield opened
        opened.close()


@pytest.fixture
def open_notebook(proxy, loop):
    """Make more notebooks, as NativeNotebook takes it: `open_notebook(session=None, url=None)`."""
    opened = []

    def make(session=None, url=None):
        opened.append(NativeNotebook(proxy, loop, session, url))
        return opened[-1]

    yield make
    for each in opened:
        if each.connection.channel is not None:
            each.close()


@pytest.fixture
def start_relay(proxy, loop):
    """Put relays before the proxy, as Relay takes it: `start_relay(fate=...)`."""
    started = []

    def start(**options):
        started.append(Relay(loop, proxy.url, **options))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def start_proxy():
    """Start more proxies, as `Proxy` takes it: `start_proxy(*arguments, port=0, env=None)`."""
    started = []

    def start(*arguments, **options):
        started.append(Proxy(*arguments, **options))
        return started[-1]

    yield start
    for each in started:
        # With their kernels, which may outlive a proxy that ends otherwise.
        each.interrupt()


@pytest.fixture
def on_print(monkeypatch):
    """`on_print(text, action)` runs an action as soon as a cell has printed that text here."""
    waiting = {}

    def add(wanted, action):
        # Patched here: pytest gives each phase of a test a stdout of its own.
        if not waiting:
            write = sys.stdout.write

            def watch(text):
                write(text)
                for heard in [heard for heard in waiting if heard in text]:
                    waiting.pop(heard)()

            monkeypatch.setattr(sys.stdout, "write", watch)
        waiting[wanted] = action

    return add
