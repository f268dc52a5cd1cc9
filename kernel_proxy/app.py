"""The Jupyter Server extension, and `jupyter torch-proxy`: a small server that has nothing else."""

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

from jupyter_core.paths import jupyter_runtime_dir
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
from traitlets import Instance, default
from traitlets.config import Config

from .auth import ProxyOnlyAuthorizer, TokenIdentityProvider, Tokens, exact_origin
from .channel import ChannelHandler
from .errors import StateInUse
from .handlers import DescriptionHandler, OriginsHandler, PairHandler, SessionsHandler
from .idle import Culling
from .kernel_process import Processes
from .limits import Limits
from .malloc import keep_freed_memory
from .session import Session
from .sessions import Sessions
from .settings import Proxy
from .state import State
from .tensor_handler import TensorsHandler
from .tensors import Budget

TOKEN_VARIABLE = "JUPYTER_TORCH_TOKEN"
DEFAULT_PORT = 8889


class KernelProxy(ExtensionApp):
    """`%%torch` for pages of allowed origins."""

    name = "kernel_proxy"
    proxy = Instance(Proxy, allow_none=True)

    def initialize_settings(self) -> None:
        """Build the proxy from what the server was started with."""
        server = self.serverapp
        options = server.proxy_options
        self._budget = Budget(options.limits.shared_memory_bytes)
        sessions = Sessions(self._new_session, options.limits.max_sessions, self.log)
        culling = Culling(sessions, options.limits, options.state, server.leave)
        self.proxy = Proxy(
            sessions, culling, options.tokens, set(options.origins), self.log, options.limits
        )
        self.settings["kernel_proxy"] = self.proxy
        sessions.restore(options.state.left())

    def _new_session(self, identifier: str) -> Session:
        server = self.serverapp
        state = server.proxy_options.state
        processes = Processes(
            server.kernel_spec_manager,
            server.kernel_manager.default_kernel_name,
            server.root_dir,
            independent=state.keep,
        )
        return Session(
            identifier,
            state.session(identifier),
            processes,
            self.proxy.limits,
            self._budget,
            self.proxy.culling.watch,
            self.log,
        )

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        """Go on with what an earlier proxy has left."""
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
            ]
        )

    async def stop_extension(self) -> None:
        """End all kernels, or leave them to the next proxy."""
        if self.proxy is None:
            return
        state = self.serverapp.proxy_options.state
        if state.keep and not self.serverapp.ended:
            self.proxy.sessions.leave()
        else:
            await self.proxy.sessions.close()
            state.remove()


class Options:
    """What `jupyter torch-proxy` was asked for."""

    def __init__(self, tokens: Tokens, origins: frozenset[str], limits: Limits, state: State):
        self.tokens, self.origins, self.limits, self.state = tokens, origins, limits, state


class TorchProxyServer(ServerApp):
    """A Jupyter server without files, terminals, notebooks or any extension but this one."""

    # Its own configuration file, so that the user's notebook server does not change this one.
    name = "jupyter-torch-proxy"
    default_services = ()
    load_other_extensions = False
    proxy_options: Options
    #: It ends by Ctrl-C, or because it is idle: kernels are not to go on.
    ended = False

    @default("authorizer_class")
    def _authorizer_class(self):
        return ProxyOnlyAuthorizer

    @default("identity_provider_class")
    def _identity_provider_class(self):
        return TokenIdentityProvider

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
        """Nothing: `main` says how to connect."""
        return ""

    def write_server_info_file(self) -> None:
        """Not written: nobody looks for this server there."""

    def remove_server_info_file(self) -> None:
        """See write_server_info_file."""


def main(argv: list[str] | None = None) -> None:
    """Run `jupyter torch-proxy` until it is interrupted."""
    arguments = _parser().parse_args(argv)
    try:
        origins = [exact_origin(origin) for origin in arguments.origin]
        if arguments.site:
            origins.append(exact_origin(arguments.site))
        chosen = _token(arguments.token_file)
        state = _state(arguments.state, arguments.port)
    except (ValueError, OSError, StateInUse) as error:
        sys.exit(f"jupyter torch-proxy: {error}")
    # Where this server was itself started by a kernel: ours would end with the parent of that one.
    os.environ.pop("JPY_PARENT_PID", None)
    tokens = Tokens(*chosen, given=state.load_tokens(), keep=state.save_tokens)
    made = None if chosen else tokens.new_token()
    limits = Limits(
        max_sessions=arguments.max_sessions,
        shared_memory_bytes=arguments.shared_memory * 2**20,
        event_log_bytes=arguments.event_log * 2**20,
        max_queued=arguments.max_queued,
        max_cell_s=arguments.max_cell_minutes * 60,
        gpu_memory_share=arguments.gpu_memory_share,
        cull_after_s=arguments.cull_after * 60,
        exit_when_idle_s=arguments.exit_when_idle * 60,
    )
    keep_freed_memory()
    TokenIdentityProvider.tokens = tokens
    server = TorchProxyServer.instance(config=_config(arguments))
    server.proxy_options = Options(tokens, frozenset(origins), limits, state)
    server.initialize(argv=[], find_extensions=False)
    text = _how_to_connect(server, arguments.site, origins, tokens, made)
    # The server binds its port in a callback of the loop (jupyter_server 2.21); this comes after it.
    server.io_loop.add_callback(print, text, flush=True)
    server.start()


def _config(arguments: argparse.Namespace) -> Config:
    config = Config()
    config.ServerApp.ip = arguments.ip
    config.ServerApp.port = arguments.port
    config.ServerApp.port_retries = 0
    config.ServerApp.root_dir = arguments.directory
    config.ServerApp.open_browser = False
    config.ServerApp.allow_unauthenticated_access = False
    config.ServerApp.jpserver_extensions = {"kernel_proxy": True}
    # Inside a container there is often no other user.
    config.ServerApp.allow_root = True
    # What is not streamed is at most a pairing code.
    config.ServerApp.max_body_size = 64 * 2**10
    config.ServerApp.max_buffer_size = 64 * 2**20
    config.ServerApp.log_level = config.KernelProxy.log_level = arguments.log_level
    config.MappingKernelManager.default_kernel_name = arguments.kernel
    return config


def _state(folder: str | None, port: int) -> State:
    """Return the state folder; StateInUse when another proxy has it."""
    if folder is None and port == 0:
        # No page could find a later proxy, which would have another address.
        return State(Path(tempfile.mkdtemp(prefix="torch-proxy-")), keep=False)
    return State(Path(folder or f"{jupyter_runtime_dir()}/torch-proxy-{port}"), keep=True)


def _token(file: str | None) -> list[str]:
    """Return the token that the user chose, if any. Never an option: `ps` shows those to all."""
    # Taken out of the environment, which kernels inherit.
    token = os.environ.pop(TOKEN_VARIABLE, None)
    if file:
        token = Path(file).read_text(encoding="utf-8").strip()
    if token is None:
        return []
    if len(token) < 16:
        raise ValueError("the token is shorter than 16 characters; a guesser would find it.")
    return [token]


def _how_to_connect(
    server: ServerApp, site: str | None, origins: list[str], tokens: Tokens, token: str | None
) -> str:
    host = server.ip if server.ip not in ("", "0.0.0.0", "::", "*", "localhost") else "127.0.0.1"
    scheme = "https" if server.certfile else "http"
    address = f"{scheme}://{f'[{host}]' if ':' in host else host}:{server.port}"
    lines = ["", f"Address: {address}"]
    if token:
        lines.append(f"Token: {token}")
    if origins:
        lines.append(f"Pages: {', '.join(dict.fromkeys(origins))}")
    else:
        lines.append("Pages: none. Start with --origin https://name.github.io to let a page in.")
    if site:
        link = f"{site.rstrip('/')}/lab/index.html#torch={address}&code={tokens.new_code()}"
        lines += ["", f"Open: {link}", "(works once, for ten minutes)"]
    lines += ["", "In a notebook of that page:", f"    %torch connect {address}", ""]
    return "\n".join(lines)


def _minutes(text: str) -> float:
    """Read a time that is not negative; argparse says what is wrong with another."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of minutes")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no part of 1, such as 0.25")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jupyter torch-proxy",
        description="Let notebooks of a static JupyterLite page run their %%torch cells here.",
        epilog=f"The token is taken from --token-file or the environment variable {TOKEN_VARIABLE}; "
        "with neither, one is made and printed.",
    )
    add = parser.add_argument
    add("--port", type=int, default=DEFAULT_PORT, help="default %(default)s; 0 takes a free one")
    add("--ip", default="127.0.0.1", help="address to listen on (default: this machine only)")
    add("--origin", action="append", default=[], help="a page's origin to let in; repeatable")
    add("--site", help="address of a page to let in; prints a link that connects it")
    add("--token-file", help="a file that holds the token")
    add("--kernel", default="python3", help="kernelspec of the sessions (default %(default)s)")
    add("--directory", default=os.getcwd(), help="where kernels start (default: here)")
    add("--max-sessions", type=int, default=32, help="sessions at a time (default %(default)s)")
    add(
        "--shared-memory",
        type=int,
        default=8192,
        metavar="MIB",
        help="memory of all sessions for arrays on their way, in MiB (default %(default)s)",
    )
    add(
        "--event-log",
        type=int,
        default=1024,
        metavar="MIB",
        help="disk for what each session has said and no page has taken yet, in MiB "
        "(default %(default)s)",
    )
    add(
        "--state",
        metavar="DIR",
        help="folder that this server goes on from when it is started again: kernels run on unless "
        "it is ended by Ctrl-C (default: one for each port; none with --port 0)",
    )
    add(
        "--max-queued",
        type=_count,
        default=100,
        metavar="N",
        help="cells of a session that wait for their turn (default %(default)s)",
    )
    add(
        "--max-cell-minutes",
        type=_minutes,
        default=0,
        metavar="MINUTES",
        help="interrupt a cell that runs for so long (default: never)",
    )
    add(
        "--gpu-memory-share",
        type=_share,
        default=0,
        metavar="FRACTION",
        help="the part of each GPU's memory that torch takes in a kernel, such as 0.25; a cell can "
        "take that back (default: all)",
    )
    add(
        "--cull-after",
        type=_minutes,
        default=3 * 24 * 60,
        metavar="MINUTES",
        help="end a session in which nothing has run for so long; 0 for never (default %(default)s, "
        "which is three days)",
    )
    add(
        "--exit-when-idle",
        type=_minutes,
        default=0,
        metavar="MINUTES",
        help="end this server and its kernels when nothing has run for so long (default: never)",
    )
    add("--log-level", default="WARN", help="DEBUG, INFO, WARN or ERROR (default %(default)s)")
    return parser
