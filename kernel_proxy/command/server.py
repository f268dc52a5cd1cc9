"""A Jupyter server without files, terminals, notebooks or any extension but the proxy."""

import signal

from jupyter_server.serverapp import ServerApp
from traitlets import default

from ..access.auth import ProxyOnlyAuthorizer, TokenIdentityProvider

#: Seconds in which a request has to be here, its head and its body each.
REQUEST_S = 20


class TorchProxyServer(ServerApp):
    """What `jupyter torch-proxy` runs."""

    # Its own configuration file, so that the user's notebook server does not change this one.
    name = "jupyter-torch-proxy"
    default_services = ()
    load_other_extensions = False
    #: It ends by Ctrl-C, or because it is idle: kernels are not to go on.
    ended = False

    @default("authorizer_class")
    def _authorizer_class(self):
        return ProxyOnlyAuthorizer

    @default("identity_provider_class")
    def _identity_provider_class(self):
        return TokenIdentityProvider

    def init_httpserver(self) -> None:
        """Nobody keeps a connection by not going on with a request (tornado 6.6: for an hour)."""
        super().init_httpserver()
        parameters = self.http_server.conn_params
        parameters.header_timeout = parameters.body_timeout = REQUEST_S

    def init_signal(self) -> None:
        """Ctrl-C ends it and its kernels, with no question and also without a terminal."""
        super().init_signal()
        signal.signal(signal.SIGINT, self._end)

    def _end(self, number: int, frame: object) -> None:
        if not self.ended:
            self.ended = True
            self.stop(from_signal=True)

    def leave(self, why: str) -> None:
        """End as Ctrl-C does, and say why."""
        if not self.ended:
            self.ended = True
            print(f"jupyter torch-proxy ends: {why}.", flush=True)
            self.stop()

    def running_server_info(self, kernel_count: bool = True) -> str:
        """Nothing: the command says how to connect."""
        return ""

    def write_server_info_file(self) -> None:
        """Not written: nobody looks for this server there."""

    def remove_server_info_file(self) -> None:
        """See write_server_info_file."""
