"""`jupyter torch-proxy` in a process of its own, started and ended as a user does it."""

import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys

#: The page that the notebooks of `native_notebook.py` say they are. Every proxy lets it in; no page
#: of a browser has this origin.
ORIGIN = "http://page.example"


class Proxy:
    """`jupyter torch-proxy`, from its start until its address is printed, and through its ends.

    A variable of `env` that is None is not there. After an end, `start()` starts it again, with what it was given before and at the same address.
    """

    def __init__(self, *arguments, port=0, token=None, env=None, log=None, before=()):
        """`log`: the file that its standard error is added to; `before`: what comes before the command."""
        self.arguments, self.port, self.env, self.log = arguments, port, env or {}, log
        self.before = before
        self.token = token or secrets.token_urlsafe(24)
        self.start()

    def start(self):
        """Start it and wait until it listens."""
        command = [sys.executable, "-m", "kernel_proxy", "--port", str(self.port)]
        environment = {**os.environ, "JUPYTER_TORCH_TOKEN": self.token, **self.env}
        with open(self.log, "a") if self.log else contextlib.nullcontext() as log:
            self.process = subprocess.Popen(
                [*self.before, *command, "--origin", ORIGIN, *self.arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={name: value for name, value in environment.items() if value is not None},
            )
        self.printed = ""
        while "In a notebook" not in self.printed:
            line = self.process.stdout.readline()
            if not line:
                self.process.stdout.close()
                ended = self.process.wait()
                raise AssertionError(f"the proxy ended with {ended}: {self.printed}")
            self.printed += line
        self.url = re.search(r"^Address: (\S+)$", self.printed, re.M)[1]
        self.port = int(self.url.rpartition(":")[2])

    @property
    def link(self):
        """The pairing link of `--site`."""
        return re.search(r"^Open: (\S+)$", self.printed, re.M)[1]

    @property
    def code(self):
        """The pairing code."""
        return re.search(r"^Code: (\S+)$", self.printed, re.M)[1]

    def stop(self):
        """End it as a service manager does."""
        self._end(signal.SIGTERM)

    def interrupt(self):
        """End it as Ctrl-C does."""
        self._end(signal.SIGINT)

    def kill(self):
        """End it as a crash does."""
        self._end(signal.SIGKILL)

    def _end(self, number):
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(timeout=30)
        self.process.stdout.close()
