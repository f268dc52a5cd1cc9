"""A JupyterHub of its own, with its proxy, whose users' servers have the extension."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from proxy import ORIGIN

CHP = Path(__file__).parents[1] / "node_modules" / ".bin" / "configurable-http-proxy"
PATIENCE_S = 90


class Hub:
    """From its start until it answers. `settings` are lines of the configuration file of each user's
    server; `roles` are the hub's."""

    def __init__(self, folder, *settings, roles=()):
        self._folder, self._token = Path(folder), secrets.token_hex(16)
        ports = [_free_port() for _ in range(3)]
        self.url = f"http://127.0.0.1:{ports[0]}"
        #: For the proxy's commands.
        self.env = {"JUPYTER_RUNTIME_DIR": str(self._folder / "runtime")}
        config = self._folder / "config"
        config.mkdir()
        server = [
            "c.ServerApp.jpserver_extensions = {'kernel_proxy': True}",
            f"c.KernelProxy.origins = [{ORIGIN!r}]",
            "c.ServerApp.allow_root = True",
            *settings,
        ]
        (config / "jupyter_server_config.py").write_text("\n".join(server))
        environment = {
            "JUPYTERHUB_SINGLEUSER_APP": "jupyter_server.serverapp.ServerApp",
            "JUPYTER_CONFIG_DIR": str(config),
            **self.env,
            "JUPYTERHUB_ACTIVITY_INTERVAL": "2",
        }
        service = {
            "name": "tests",
            "services": ["tests"],
            "scopes": ["admin:users", "admin:servers", "tokens"],
        }
        hub = [
            f"c.JupyterHub.bind_url = {self.url!r}",
            f"c.JupyterHub.public_url = {self.url!r}",
            f"c.JupyterHub.hub_port = {ports[1]}",
            f"c.ConfigurableHTTPProxy.api_url = 'http://127.0.0.1:{ports[2]}'",
            f"c.ConfigurableHTTPProxy.command = [{str(CHP)!r}]",
            "c.JupyterHub.authenticator_class = 'dummy'",
            "c.Authenticator.allow_all = True",
            "c.JupyterHub.spawner_class = 'simple'",
            f"c.Spawner.cmd = [{sys.executable!r}, '-m', 'jupyterhub.singleuser']",
            f"c.Spawner.environment = {environment}",
            f"c.JupyterHub.services = [{{'name': 'tests', 'api_token': {self._token!r}}}]",
            f"c.JupyterHub.load_roles = {[service, *roles]}",
        ]
        (self._folder / "hub.py").write_text("\n".join(hub))
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", "hub.py"],
                cwd=self._folder,
                stdout=log,
                stderr=log,
                env={**os.environ, "CONFIGPROXY_AUTH_TOKEN": secrets.token_hex(16)},
            )
        self._wait(self._answers)

    def _answers(self):
        # Its proxy is there first, and knows no hub.
        try:
            self.ask("GET", "users")
            return True
        except (OSError, AssertionError):
            return False

    def ask(self, method, path, body=None):
        """Return what the hub's API answers."""
        request = urllib.request.Request(
            f"{self.url}/hub/api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self._token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return json.loads(reply.read() or b"true")
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{path}: {error.code} {error.read().decode()}") from None

    def start_server(self, name):
        """Start a user's server; return its address."""
        self.ask("POST", f"users/{name}/server")
        self._wait(lambda: self.ask("GET", f"users/{name}")["servers"].get("", {}).get("ready"))
        return f"{self.url}/user/{name}"

    def token(self, name, *scopes):
        """Return a token of a user."""
        return self.ask("POST", f"users/{name}/tokens", {"scopes": scopes})["token"]

    def _wait(self, condition):
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert self._process.poll() is None and time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    def log(self):
        """What hub, proxy and servers have said."""
        return (self._folder / "log").read_text()

    def stop(self):
        """End it with its servers."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=30)


def _free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]
