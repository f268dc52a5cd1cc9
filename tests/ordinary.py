"""An ordinary `jupyter server`, with files, kernels and terminals, in which the proxy is an extension."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

from proxy import ORIGIN

PATIENCE_S = 60


class OrdinaryServer:
    """From its start until it listens. `settings` are lines of its configuration file.

    It has the surface of `Proxy`; `token` is that of the server itself, `log` the file that its
    standard error is added to.
    """

    def __init__(self, folder, *settings, token=None, log=None):
        self.folder, self.token = Path(folder), token or secrets.token_urlsafe(24)
        self.log = log or os.devnull
        self.env = {
            "JUPYTER_RUNTIME_DIR": str(self.folder / "runtime"),
            "JUPYTER_CONFIG_DIR": str(self.folder / "config"),
        }
        (self.folder / "config").mkdir(parents=True)
        (self.folder / "root").mkdir()
        extensions = {"kernel_proxy": True, "jupyter_server_terminals": True}
        lines = [
            f"c.ServerApp.jpserver_extensions = {extensions}",
            f"c.ServerApp.root_dir = {str(self.folder / 'root')!r}",
            "c.ServerApp.port = 0",
            "c.ServerApp.allow_root = True",
            f"c.KernelProxy.origins = [{ORIGIN!r}]",
            f"c.IdentityProvider.token = {self.token!r}",
            *settings,
        ]
        (self.folder / "config" / "jupyter_server_config.py").write_text("\n".join(lines))
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyter_server", "--no-browser"],
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=os.environ | self.env,
            )
        described = self._wait()
        self.url, self.port = described["address"], described["port"]
        self.state = Path(described["state"])

    def _wait(self):
        deadline = time.monotonic() + PATIENCE_S
        announced = self.folder / "runtime" / f"torch-proxy-{self.process.pid}.json"
        while not announced.exists():
            assert self.process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        return json.loads(announced.read_text())

    def interrupt(self):
        """End it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)
