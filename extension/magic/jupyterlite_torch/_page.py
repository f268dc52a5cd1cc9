"""The private line to the page, from the kernel's web worker."""

import asyncio
import json

import js
from pyodide.code import run_js
from pyodide.ffi import create_proxy

from ._errors import NotConnected, TransferError


def _from_page(data):
    # `to_py` would make JavaScript's null a `jsnull`, which is not None (Pyodide 314).
    return json.loads(js.JSON.stringify(data))


# Not `to_js`: None is to be null there, not undefined.
_post = run_js("(port, text) => port.postMessage(JSON.parse(text))")
#: What the page answers, and under which key.
_ANSWERS = {"chosen": "server", "doctor": "text", "input": "value", "file": "outcome"}


class Page:
    """The private line to the page: a port that the page hands to this worker alone.

    Comms wait while a cell runs, and a BroadcastChannel is heard by every page of the origin.
    `on_server(server)` is called with `{"url", "token"}` or None, `on_interrupt()` on Stop,
    `on_restart()` when the person has chosen to restart a kernel that did not react to it,
    `on_session()` when they have chosen another session, and `on_cancel(id)` when they cancel a
    transfer.
    """

    def __init__(self, on_server, on_interrupt, on_restart, on_session, on_cancel):
        self.session = None
        self.default_url = None
        self._on_server, self._on_interrupt, self._on_restart = on_server, on_interrupt, on_restart
        self._on_session, self._on_cancel = on_session, on_cancel
        self._port = None
        self._questions = {}
        self._moved = {}
        self._first = create_proxy(self._arrived)
        self._next = create_proxy(self._received)
        js.self.addEventListener("message", self._first)

    def _arrived(self, event):
        if getattr(event.data, "type", None) != "jupyterlite-torch" or not event.ports.length:
            return
        hello = _from_page(event.data)
        self._port = event.ports[0]
        self._port.onmessage = self._next
        self.session = hello["session"]
        self.default_url = hello.get("default")
        self._on_server(hello.get("server"))

    def _received(self, event):
        message = _from_page(event.data)
        if message["type"] in _ANSWERS:
            answer = self._questions.pop(message["id"], None)
            if answer is not None and not answer.done():
                answer.set_result(message[_ANSWERS[message["type"]]])
        elif message["type"] == "moved":
            if moved := self._moved.get(message["id"]):
                moved(message["done"], message["total"])
        elif message["type"] == "server":
            self._on_server(message["server"])
        elif message["type"] == "session":
            self.session = message["session"]
            self._on_session()
        elif message["type"] == "interrupt":
            self._on_interrupt()
        elif message["type"] == "restart":
            self._on_restart()
        elif message["type"] == "cancel":
            self._on_cancel(message["id"])

    def tell(self, **message):
        """Send the page a message; nothing happens where no page listens."""
        if self._port is not None:
            _post(self._port, json.dumps(message))

    async def ask_server(self, url):
        """Let the person choose a server and give its token: `{"url", "token"}`, None when they
        decline. `url` is the address if that is known."""
        if self._port is None:
            raise NotConnected(
                "This page lacks the jupyterlite-torch extension, which asks for the token. Build "
                "the site in an environment with jupyterlite-torch installed."
            )
        return await self._ask("ask-server", js.crypto.randomUUID(), {"url": url})

    async def ask_doctor(self, url):
        """Return what the page finds of the server at `url`, of the one that is known for None."""
        if self._port is None:
            return "This page lacks the jupyterlite-torch extension, which would look."
        return await self._ask("ask-doctor", js.crypto.randomUUID(), {"url": url})

    async def ask_input(self, prompt, password, cell):
        """Let the page ask what a remote `input()` wants to know, in the output area of the local
        message `cell`; None when the person declines."""
        if self._port is None:
            return None
        identifier = js.crypto.randomUUID()
        question = {"prompt": prompt, "password": password, "cell": cell}
        try:
            return await self._ask("ask-input", identifier, question)
        except asyncio.CancelledError:
            self.tell(type="withdraw-input", id=identifier)
            raise

    async def move_file(self, direction, here, there, moved):
        """Have the page move a file between the local path `here`, in its drive, and the name `there`
        in the session's folder; return its size. `moved(done, total)` is told of bytes."""
        from ._files import in_drive

        if self._port is None:
            raise NotConnected(
                "This page lacks the jupyterlite-torch extension, which moves files."
            )
        identifier = js.crypto.randomUUID()
        self._moved[identifier] = moved
        question = {"direction": direction, "here": in_drive(here), "there": there}
        try:
            outcome = await self._ask("ask-file", identifier, question)
        except asyncio.CancelledError:
            self.tell(type="withdraw-file", id=identifier)
            raise
        finally:
            del self._moved[identifier]
        if outcome["error"]:
            raise TransferError(outcome["error"])
        return outcome["size"]

    async def _ask(self, kind, identifier, question):
        answer = self._questions[identifier] = asyncio.get_running_loop().create_future()
        self.tell(type=kind, id=identifier, **question)
        return await answer
