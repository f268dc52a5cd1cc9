"""A notebook of CPython whose `%%torch` cells meet a real proxy, without a browser."""

import os
import re
import secrets
import signal
import subprocess
import sys

from IPython.core.interactiveshell import InteractiveShell
from native_transport import NativeTransport

from jupyterlite_torch._connection import Connection
from jupyterlite_torch._magic import Notebook

ORIGIN = "http://page.example"


class Proxy:
    """`jupyter torch-proxy` as a user starts it."""

    def __init__(self, *arguments):
        self.token = secrets.token_urlsafe(24)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kernel_proxy", "--port", "0", "--origin", ORIGIN, *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "JUPYTER_TORCH_TOKEN": self.token},
        )
        self.printed = ""
        while "In a notebook" not in self.printed:
            line = self.process.stdout.readline()
            assert line, f"the proxy ended with {self.process.wait()}: {self.printed}"
            self.printed += line
        self.url = re.search(r"^Address: (\S+)$", self.printed, re.M)[1]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)
        self.process.stdout.close()


class NativePage:
    """What the page extension does: names the server and the session, asks for tokens."""

    default_url = None

    def __init__(self, session, token):
        self.session = session
        self.token = token
        self.told = []

    def tell(self, **message):
        self.told.append(message)

    async def ask_token(self, url):
        return self.token


class NativeNotebook:
    """A notebook whose cells run in this process as the Pyodide kernel runs them."""

    def __init__(self, proxy, loop, session=None):
        self.loop = loop
        self.shell = InteractiveShell()
        self.page = NativePage(session or secrets.token_urlsafe(12), proxy.token)
        self.connection = Connection(
            lambda url: NativeTransport(url, ORIGIN), lambda *handlers: self.page, ORIGIN
        )

        async def load(package):
            assert package == "numpy"

        self.notebook = Notebook(self.shell, self.connection, load, loop.run_until_complete)
        self.wait(self.connection.connect(proxy.url))

    @property
    def names(self):
        return self.shell.user_ns

    def wait(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def local(self, code):
        """Run a local cell."""
        self.shell.run_cell(code, store_history=True).raise_error()

    def torch(self, body, line=""):
        """Run a `%%torch` cell; return the value of its last expression."""
        return self.wait(self.notebook.run_cell(line, body))

    def line(self, line):
        """Run a `%torch` line."""
        self.wait(self.notebook.run_line(line))

    def close(self):
        async def end():
            channel = self.connection.channel
            if channel is not None:
                await channel.request("control", "shutdown_request", {"restart": False})
            self.connection.disconnect()

        self.wait(end())
