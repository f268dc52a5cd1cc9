"""The Jupyter Server extension: `%%torch` for pages of allowed origins."""

import tempfile
from pathlib import Path

from jupyter_core.paths import jupyter_runtime_dir
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
from traitlets import Float, Instance, Int, List, Unicode, validate

from . import journal
from ._version import __version__
from .auth import TokenIdentityProvider, Tokens, exact_origin
from .channel import ChannelHandler
from .handlers import (
    DescriptionHandler,
    NotFoundHandler,
    OriginsHandler,
    PairHandler,
    SessionsHandler,
)
from .idle import Culling
from .kernel_process import Processes
from .limits import Limits
from .monitoring import HealthHandler, MetricsHandler
from .session import Session
from .sessions import Sessions
from .settings import Proxy
from .state import State
from .tensor_handler import TensorsHandler
from .tensors import Budget


class KernelProxy(ExtensionApp):
    """Runs in any Jupyter server; `jupyter torch-proxy` is one that has nothing else.

    Its settings are `c.KernelProxy.NAME` of a configuration file, and `--NAME` of that command.
    """

    name = "kernel_proxy"
    proxy = Instance(Proxy, allow_none=True)

    origins = List(Unicode(), help="origins of the pages to let in; each an exact one").tag(
        config=True
    )
    state = Unicode(
        help="folder that this server goes on from when it is started again: kernels run on unless "
        "it is ended by Ctrl-C"
    ).tag(config=True)
    kernels = List(
        Unicode(),
        help="kernelspecs that a notebook may choose from, the first for those that choose none; "
        "default: the server's own",
    ).tag(config=True)
    max_sessions = Int(32, min=1, help="sessions at a time").tag(config=True)
    shared_memory = Int(
        8192, min=1, help="memory of all sessions for arrays on their way, in MiB"
    ).tag(config=True)
    event_log = Int(
        1024,
        min=1,
        help="disk for what each session has said and no page has taken yet, in MiB",
    ).tag(config=True)
    max_queued = Int(100, min=1, help="cells of a session that wait for their turn").tag(
        config=True
    )
    max_cell_minutes = Float(
        0, min=0, help="interrupt a cell that runs for so long; 0 for never"
    ).tag(config=True)
    gpu_memory_share = Float(
        0,
        min=0,
        max=1,
        help="the part of each GPU's memory that torch takes in a kernel, such as 0.25, which a cell "
        "can take back; 0 for all",
    ).tag(config=True)
    cull_after = Float(
        3 * 24 * 60,
        min=0,
        help="end a session in which nothing has run for so many minutes; 0 for never",
    ).tag(config=True)
    exit_when_idle = Float(
        0,
        min=0,
        help="end this server and its kernels when nothing has run for so many minutes; 0 for never",
    ).tag(config=True)

    ping_every = Float(
        20,
        min=0.1,
        help="say something on a silent line so often, in seconds: sooner than what is between here "
        "and a page cuts it",
    ).tag(config=True)

    @validate("origins")
    def _exact(self, proposal):
        return [exact_origin(origin) for origin in proposal["value"]]

    def initialize_settings(self) -> None:
        """Build the proxy from what the server was started with."""
        server = self.serverapp
        limits = self._limits()
        self._state = self._open_state()
        budget = Budget(limits.shared_memory_bytes, self.log)
        sessions = Sessions(self._new_session, limits.max_sessions, self.log)
        culling = Culling(sessions, limits, self._state, server.leave)
        tokens = TokenIdentityProvider.tokens = Tokens(
            *server.chosen, given=self._state.load_tokens(), keep=self._state.save_tokens
        )
        kernels = tuple(self.kernels) or (server.kernel_manager.default_kernel_name,)
        self.proxy = Proxy(
            sessions, culling, tokens, set(self.origins), self.log, budget, kernels, limits
        )
        self.settings["kernel_proxy"] = self.proxy
        sessions.restore(self._state.left())

    def _limits(self) -> Limits:
        return Limits(
            max_sessions=self.max_sessions,
            shared_memory_bytes=self.shared_memory * 2**20,
            event_log_bytes=self.event_log * 2**20,
            max_queued=self.max_queued,
            max_cell_s=self.max_cell_minutes * 60,
            gpu_memory_share=self.gpu_memory_share,
            cull_after_s=self.cull_after * 60,
            exit_when_idle_s=self.exit_when_idle * 60,
            ping_every_s=self.ping_every,
        )

    def _open_state(self) -> State:
        """Return the state folder; StateInUse when another proxy has it."""
        port = self.serverapp.port
        if not self.state and port == 0:
            # No page could find a later proxy, which would have another address.
            return State(Path(tempfile.mkdtemp(prefix="torch-proxy-")), keep=False)
        return State(Path(self.state or f"{jupyter_runtime_dir()}/torch-proxy-{port}"), keep=True)

    def _new_session(self, identifier: str, kernel: str | None) -> Session:
        server = self.serverapp
        processes = Processes(
            server.kernel_spec_manager,
            self.proxy.kernels,
            server.root_dir,
            independent=self._state.keep,
        )
        return Session(
            identifier,
            kernel,
            self._state.session(identifier),
            processes,
            self.proxy.limits,
            self.proxy.budget,
            self.proxy.culling.watch,
            self.log,
        )

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        """Go on with what an earlier proxy has left."""
        journal.note(
            self.log,
            "server started",
            version=__version__,
            port=serverapp.port,
            origins=",".join(self.proxy.origins),
            kernels=",".join(self.proxy.kernels),
        )
        self.proxy.culling.proxy.begin()
        await self.proxy.sessions.resume()

    def initialize_handlers(self) -> None:
        """Everything lives below `kernel_proxy/api/v1/`."""
        # Paths with `/api/` in them pass a site's service worker by (JupyterLite 0.8.6). It would keep
        # what it sees in its cache, where all tensors, having one address, are one.
        base = "/kernel_proxy/api/v1/"
        self.handlers.extend(
            [
                (base, DescriptionHandler),
                (base + "pair", PairHandler),
                (base + "sessions", SessionsHandler),
                (base + "origins", OriginsHandler),
                (base + "tensors", TensorsHandler),
                (base + "channel", ChannelHandler),
                (base + "health", HealthHandler),
                (base + "metrics", MetricsHandler),
                ("/kernel_proxy(?:/.*)?", NotFoundHandler),
            ]
        )

    async def stop_extension(self) -> None:
        """End all kernels, or leave them to the next proxy."""
        if self.proxy is None:
            return
        journal.note(self.log, "server ends")
        if self._state.keep and not self.serverapp.ended:
            self.proxy.sessions.leave()
        else:
            await self.proxy.sessions.close()
            self._state.remove()
