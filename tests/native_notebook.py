"""A notebook of CPython whose `%%torch` cells meet a real proxy, without a browser."""

import asyncio
import secrets
from pathlib import Path

from file_client import FileClient, Refusal
from IPython.core.interactiveshell import InteractiveShell
from native_transport import NativeTransport
from proxy import ORIGIN, Proxy

from jupyterlite_torch import _local_errors
from jupyterlite_torch._awaits import AwaitTransform
from jupyterlite_torch._connection import Connection
from jupyterlite_torch._errors import TransferError
from jupyterlite_torch._magic import Notebook

__all__ = ["ORIGIN", "NativeNotebook", "NativePage", "Proxy"]


class NativePage:
    """What the page extension does: names the server and the session, asks for tokens."""

    default_url = None

    def __init__(self, session, token, url):
        self.session = session
        self.url = url
        self.token = token
        self.told = []
        # What a person types into questions of the cells, and what those were.
        self.answers, self.asked = [], []

    def tell(self, **message):
        self.told.append(message)

    async def ask_server(self, url):
        return {"url": url, "token": self.token}

    async def ask_input(self, prompt, password, cell):
        self.asked.append((prompt, password))
        return self.answers.pop(0)

    async def move_file(self, direction, here, there, moved):
        loop = asyncio.get_running_loop()
        files = FileClient(self.url, self.token, self.session, ORIGIN)

        def tell(done, total):
            loop.call_soon_threadsafe(moved, done, total)

        def move():
            if direction == "put":
                data = Path(here).read_bytes()
                files.put(there, data, tell)
            else:
                data = files.get(there, tell)
                Path(here).write_bytes(data)
            return len(data)

        try:
            return await asyncio.to_thread(move)
        except Refusal as error:
            raise TransferError(str(error)) from None


class NativeNotebook:
    """A notebook whose cells run in this process as the Pyodide kernel runs them.

    `url` is another way to the proxy than its own address, such as a Relay's; `kernel` what a person
    says after `--kernel`.
    """

    def __init__(self, proxy, loop, session=None, url=None, kernel=None):
        self.proxy, self.loop = proxy, loop
        self.shell = InteractiveShell()
        self.shell.ast_transformers.append(AwaitTransform())
        self.page = NativePage(session or secrets.token_urlsafe(12), proxy.token, url or proxy.url)
        self.connection = Connection(
            lambda url: NativeTransport(url, ORIGIN), lambda *handlers: self.page, ORIGIN
        )

        async def load(package):
            assert package in ("numpy", "scipy", "pandas", "polars", "pyarrow")

        self.notebook = Notebook(self.shell, self.connection, load, loop.run_until_complete)
        _local_errors.install(self.shell, self.notebook.offer_to_run_there, self.notebook.is_there)
        self.wait(self.connection.connect(url or proxy.url, kernel))

    @property
    def names(self):
        return self.shell.user_ns

    def wait(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def result(self, job):
        """Wait for a job to end; return its value."""

        async def end():
            return await job

        return self.wait(end())

    def local(self, code):
        """Run a local cell."""
        self.wait(self.notebook.bring(code))
        self.shell.run_cell(code, store_history=True).raise_error()

    def torch(self, body, line=""):
        """Run a `%%torch` cell; return the value of its last expression."""
        return self.wait(self.notebook.run_cell(line, body))

    def line(self, line):
        """Run a `%torch` line."""
        self.wait(self.notebook.run_line(line))

    def close(self):
        """End the session, too."""

        async def end():
            channel = self.connection.channel
            self.connection.disconnect()
            if channel is not None:
                transport = NativeTransport(self.proxy.url, ORIGIN)
                await transport.fetch("DELETE", "sessions", channel.session_headers)

        self.wait(end())
