"""The command line of `jupyter torch-proxy`."""

import argparse
import importlib
import os
import sys
from pathlib import Path

from jupyter_core.paths import jupyter_data_dir
from traitlets import TraitError
from traitlets.config import Config

from .app import KernelProxy
from .auth import Tokens, exact_origin
from .errors import StateInUse
from .malloc import keep_freed_memory
from .server import TorchProxyServer
from .tls import self_signed

TOKEN_VARIABLE = "JUPYTER_TORCH_TOKEN"  # noqa: S105 (a name)
DEFAULT_PORT = 8889
#: The module of each subcommand.
SUBCOMMANDS = {"doctor": "doctor"}


def main(argv: list[str] | None = None) -> None:
    """Run a subcommand, or `jupyter torch-proxy` until it is interrupted."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in SUBCOMMANDS:
        importlib.import_module(f".{SUBCOMMANDS[argv[0]]}", __package__).main(argv[1:])
        return
    arguments = _parser().parse_args(argv)
    try:
        _run(arguments)
    except (ValueError, OSError, StateInUse, TraitError) as error:
        sys.exit(f"jupyter torch-proxy: {error}")


def _run(arguments: argparse.Namespace) -> None:
    if arguments.site:
        arguments.origins = [*arguments.origins, arguments.site]
    # A wrong one is told before anything is started.
    arguments.origins = [exact_origin(origin) for origin in arguments.origins]
    chosen = _token(arguments.token_file)
    # Where this server was itself started by a kernel: ours would end with the parent of that one.
    os.environ.pop("JPY_PARENT_PID", None)
    keep_freed_memory()
    server = TorchProxyServer.instance(config=_config(arguments))
    server.chosen = chosen
    server.initialize(argv=[], find_extensions=False)
    tokens = server.extension_manager.extension_points["kernel_proxy"].app.proxy.tokens
    made = None if chosen else tokens.new_token()
    text = _how_to_connect(server, arguments.site, arguments.origins, tokens, made)
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
    # Without it there is nothing to serve.
    config.ServerApp.reraise_server_extension_failures = True
    # Inside a container there is often no other user.
    config.ServerApp.allow_root = True
    # What is not streamed is at most a pairing code.
    config.ServerApp.max_body_size = 64 * 2**10
    config.ServerApp.max_buffer_size = 64 * 2**20
    _configure_log(config, arguments)
    _configure_tls(config, arguments)
    for name in ("origins", "kernels", *_SETTINGS):
        if name in arguments:
            config.KernelProxy[name] = getattr(arguments, name)
    return config


def _configure_tls(config: Config, arguments: argparse.Namespace) -> None:
    certfile, keyfile = arguments.certfile, arguments.keyfile
    if arguments.self_signed:
        if certfile or keyfile:
            raise ValueError(
                "--self-signed makes a certificate; leave --certfile and --keyfile out."
            )
        made = self_signed(Path(jupyter_data_dir()) / "torch-proxy")
        certfile, keyfile = str(made.cert), str(made.key)
    if bool(certfile) != bool(keyfile):
        raise ValueError("--certfile and --keyfile belong together.")
    for file in filter(None, (certfile, keyfile)):
        # Told here, and not when the first page connects.
        Path(file).read_bytes()
    if certfile:
        config.ServerApp.certfile, config.ServerApp.keyfile = certfile, keyfile


def _configure_log(config: Config, arguments: argparse.Namespace) -> None:
    config.KernelProxy.log_level = arguments.log_level
    # At INFO the server underneath talks about itself.
    quiet = arguments.log_level == "INFO"
    config.ServerApp.log_level = "WARN" if quiet else arguments.log_level
    # In the log, addresses are without the values of their parameters: somebody may write a token there.
    config.ServerApp.extra_log_scrub_param_keys = [""]
    if arguments.log_format == "json":
        formatter = {"class": "kernel_proxy.journal.JsonFormatter"}
        config.Application.logging_config = {"formatters": {"console": formatter}}


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
    server: TorchProxyServer,
    site: str | None,
    origins: list[str],
    tokens: Tokens,
    token: str | None,
) -> str:
    host = server.ip if server.ip not in ("", "0.0.0.0", "::", "*", "localhost") else "127.0.0.1"  # noqa: S104
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


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.1 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds, 0.1 at least")
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


#: The settings of KernelProxy that are options here, of the same name and meaning: how each is read.
_SETTINGS = {
    "max_sessions": _count,
    "shared_memory": _count,
    "event_log": _count,
    "state": str,
    "max_queued": _count,
    "max_cell_minutes": _minutes,
    "gpu_memory_share": _share,
    "cull_after": _minutes,
    "exit_when_idle": _minutes,
    "ping_every": _seconds,
}
_METAVARS = {
    _count: "N",
    _minutes: "MINUTES",
    _seconds: "SECONDS",
    _share: "FRACTION",
    str: "TEXT",
}


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
    add(
        "--origin",
        action="append",
        default=[],
        dest="origins",
        help="a page's origin to let in; repeatable",
    )
    add("--site", help="address of a page to let in; prints a link that connects it")
    add("--certfile", metavar="FILE", help="a certificate in PEM, to be reached by https")
    add("--keyfile", metavar="FILE", help="its key")
    add(
        "--self-signed",
        action="store_true",
        help="https with a certificate for localhost, made once; browsers ask before they trust it",
    )
    add("--token-file", help="a file that holds the token")
    add(
        "--kernel",
        action="append",
        default=argparse.SUPPRESS,
        dest="kernels",
        metavar="NAME",
        help="kernelspec of the sessions (default python3); repeatable, and a notebook chooses: "
        "%%torch connect ADDRESS --kernel NAME",
    )
    add("--directory", default=os.getcwd(), help="where kernels start (default: here)")
    for name, read in _SETTINGS.items():
        trait = KernelProxy.class_traits()[name]
        shown = f" (default {trait.default_value})" if trait.default_value else ""
        # Absent, so that the default stands in one place, and a configuration file can set it.
        absent, option = argparse.SUPPRESS, f"--{name.replace('_', '-')}"
        add(option, type=read, default=absent, metavar=_METAVARS[read], help=trait.help + shown)
    add(
        "--log-level",
        default="INFO",
        choices=("DEBUG", "INFO", "WARN", "ERROR"),
        help="how much is told on standard error (default %(default)s)",
    )
    add(
        "--log-format",
        default="text",
        choices=("text", "json"),
        help="json: one object for each line (default %(default)s)",
    )
    return parser
