"""The Jupyter Server extension: `%%torch` for pages of allowed origins."""

import logging
import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from jupyter_core.paths import jupyter_runtime_dir
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
from tornado.ioloop import PeriodicCallback
from traitlets import Bool, Float, Instance, Int, List, Unicode, default, validate

from ._version import __version__
from .access.admission import Admission
from .access.hosts import Hosts
from .access.origins import exact_origin
from .access.tokens import DAY_S, Tokens
from .command import running
from .command.server import TorchProxyServer
from .kernel.kernel_process import Processes
from .limits import Limits
from .operations import journal
from .session.idle import Culling
from .session.session import Session
from .session.sessions import Sessions
from .session.state import State
from .settings import Proxy
from .tensors.tensors import Budget
from .web.channel import ChannelHandler
from .web.control import (
    InterruptHandler,
    PreviewHandler,
    RenameHandler,
    RestartHandler,
    VariablesHandler,
)
from .web.files import FileHandler, FilesHandler
from .web.handlers import (
    DescriptionHandler,
    NotFoundHandler,
    OriginsHandler,
    PairHandler,
    SessionsHandler,
)
from .web.introspection import CompleteHandler, InspectHandler
from .web.monitoring import HealthHandler, MetricsHandler, StatusHandler
from .web.tensor_handler import TensorsHandler

#: How often the server is told of what happens here, in seconds.
ACTIVITY_EVERY_S = 5


class KernelProxy(ExtensionApp):
    """Runs in any Jupyter server; `jupyter torch-proxy` is one that has nothing else.

    Its settings are `c.KernelProxy.NAME` of a configuration file, and `--NAME` of that command.
    """

    name = "kernel_proxy"
    proxy = Instance(Proxy, allow_none=True)
    tokens = Instance(Tokens, allow_none=True)
    _announcement: running.Announcement | None = None
    _noting: PeriodicCallback | None = None

    origins = List(Unicode(), help="origins of the pages to let in; each an exact one").tag(
        config=True
    )
    site = Unicode(help="address of a page to let in, for which links are made").tag(config=True)
    hosts = List(
        Unicode(), help="names that this server has, such as gpu.example.org; addresses need none"
    ).tag(config=True)
    address = Unicode(
        help="how pages reach this server, if not by the address that it listens at: that of a web "
        "server in front of it"
    ).tag(config=True)

    token_lifetime = Float(
        14, min=0.00001, help="days that the token of a page lives without being used"
    ).tag(config=True)
    shared_account = Bool(
        help="let persons other than the first in, all of whom have the rights of one account"
    ).tag(config=True)
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
    max_sessions_per_token = Int(
        16, min=1, help="those of them that the token of one page has opened"
    ).tag(config=True)
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
    max_cell_cpu_minutes = Float(
        0,
        min=0,
        help="interrupt a cell that uses the processors for so long, all of them together; 0 for never",
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

    @default("address")
    def _address_of_a_hub(self):
        return os.environ.get("JUPYTERHUB_PUBLIC_URL", "")

    @validate("origins")
    def _exact(self, proposal):
        return [exact_origin(origin) for origin in proposal["value"]]

    @validate("site")
    def _has_an_origin(self, proposal):
        if proposal["value"]:
            exact_origin(proposal["value"])
        return proposal["value"]

    def initialize_settings(self) -> None:
        """Build the proxy from what the server was started with."""
        limits = self._limits()
        self._state = self._open_state()
        self.tokens = Tokens(self._state.folder, self.token_lifetime * DAY_S)
        if expired := self.tokens.begin():
            journal.note(self.log, "tokens expired", logging.WARNING, count=expired)
        sessions = Sessions(
            self._new_session, limits.max_sessions, limits.max_sessions_per_token, self.log
        )
        self.proxy = Proxy(
            sessions,
            Culling(sessions, limits, self._state, self._leave),
            Admission(self.tokens, self.shared_account, self.log),
            self._hosts(),
            self.allowed_origins,
            self.log,
            Budget(limits.shared_memory_bytes, self.log),
            tuple(self.kernels) or (self.serverapp.kernel_manager.default_kernel_name,),
            limits,
        )
        self.settings["kernel_proxy"] = self.proxy
        sessions.restore(self._state.left())

    @property
    def allowed_origins(self) -> set[str]:
        """The origins of the pages to let in."""
        return {*self.origins, *([exact_origin(self.site)] if self.site else [])}

    def _hosts(self) -> Hosts:
        server = self.serverapp
        # What the operator says, and not its default, which is True on any network (2.21). A hub says so
        # for the servers that it starts.
        everything = server.config.ServerApp.get("allow_remote_access") is True
        return Hosts(self.hosts, server.allow_remote_access, everything)

    def _limits(self) -> Limits:
        return Limits(
            max_sessions=self.max_sessions,
            max_sessions_per_token=self.max_sessions_per_token,
            shared_memory_bytes=self.shared_memory * 2**20,
            event_log_bytes=self.event_log * 2**20,
            max_queued=self.max_queued,
            max_cell_s=self.max_cell_minutes * 60,
            max_cell_cpu_s=self.max_cell_cpu_minutes * 60,
            gpu_memory_share=self.gpu_memory_share,
            cull_after_s=self.cull_after * 60,
            exit_when_idle_s=self.exit_when_idle * 60,
            ping_every_s=self.ping_every,
        )

    def _open_state(self) -> State:
        """Return the state folder; StateInUse when another proxy has it."""
        folder, port = self.state, self.serverapp.port
        if not folder and self._is_alone and port:
            folder = f"{jupyter_runtime_dir()}/torch-proxy-{port}"
        if folder:
            return State(Path(folder), keep=True)
        # No page could find a later proxy, which would have another address. Sessions in a server of
        # other things end with it as its other kernels do.
        return State(Path(tempfile.mkdtemp(prefix="torch-proxy-")), keep=False)

    @property
    def _is_alone(self) -> bool:
        """True in `jupyter torch-proxy`, which has nothing else."""
        return isinstance(self.serverapp, TorchProxyServer)

    def _leave(self, why: str) -> None:
        if self._is_alone:
            self.serverapp.leave(why)
        else:
            self.log.warning("KernelProxy.exit_when_idle is for `jupyter torch-proxy` only")

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
        self.proxy.admission.home = exact_origin(self.page_address)
        self._announcement = running.announce(
            port=serverapp.port,
            address=self.page_address,
            state=str(self._state.folder.absolute()),
            site=self.site,
            origins=sorted(self.allowed_origins),
            owner=self.proxy.admission.owner,
            shared=self.shared_account,
        )
        self.proxy.culling.proxy.begin()
        self._noting = PeriodicCallback(self._note_activity, ACTIVITY_EVERY_S * 1000)
        self._noting.start()
        await self.proxy.sessions.resume()

    @property
    def page_address(self) -> str:
        """Where pages find this server."""
        server = self.serverapp
        if self.address:
            return self.address.rstrip("/")
        everywhere = server.ip in ("", "0.0.0.0", "::", "*")  # noqa: S104
        host = "127.0.0.1" if everywhere or server.ip == "localhost" else server.ip
        scheme = "https" if server.certfile else "http"
        host = f"[{host}]" if ":" in host else host
        return f"{scheme}://{host}:{server.port}{server.base_url.rstrip('/')}"

    def current_activity(self) -> bool:
        """True while anything runs; the server does not shut itself down then."""
        return any(session.is_busy for session in self.proxy.sessions)

    def _note_activity(self) -> None:
        """Tell the server when something has happened here last, by which a hub judges whether it is
        idle (jupyter_server 2.21 asks for times, and calls nobody)."""
        quiet_s = 0 if self.current_activity() else self.proxy.culling.proxy.quiet_s
        moment = datetime.now(UTC) - timedelta(seconds=quiet_s)
        self.settings["last_activity_times"]["kernel_proxy"] = moment

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
                (base + "files", FilesHandler),
                (base + "file", FileHandler),
                (base + "channel", ChannelHandler),
                (base + "health", HealthHandler),
                (base + "metrics", MetricsHandler),
                (base + "status", StatusHandler),
                (base + "variables", VariablesHandler),
                (base + "preview", PreviewHandler),
                (base + "interrupt", InterruptHandler),
                (base + "restart", RestartHandler),
                (base + "rename", RenameHandler),
                (base + "complete", CompleteHandler),
                (base + "inspect", InspectHandler),
                ("/kernel_proxy(?:/.*)?", NotFoundHandler),
            ]
        )

    async def stop_extension(self) -> None:
        """End all kernels, or leave them to the next proxy."""
        if self.proxy is None:
            return
        journal.note(self.log, "server ends")
        if self._noting:
            self._noting.stop()
        if self._announcement:
            self._announcement.withdraw()
        if self._state.keep and not (self._is_alone and self.serverapp.ended):
            self.proxy.sessions.leave()
        else:
            await self.proxy.sessions.close()
            self._state.remove()
