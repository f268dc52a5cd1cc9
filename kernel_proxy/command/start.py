"""`jupyter torch-proxy` without a subcommand: starts the server and says how to connect."""

import argparse
import os
import sys
from pathlib import Path

from jupyter_core.paths import jupyter_data_dir
from traitlets import TraitError
from traitlets.config import Config

from ..access.auth import TokenIdentityProvider
from ..app import KernelProxy
from ..errors import StateInUse
from .malloc import keep_freed_memory
from .options import SETTINGS, TOKEN_VARIABLE, parser
from .pairing import invitation
from .server import TorchProxyServer
from .tls import self_signed


def main(argv: list[str]) -> None:
    """Run it until it is interrupted."""
    arguments = parser().parse_args(argv)
    try:
        server, text = prepare(arguments)
    except (ValueError, OSError, StateInUse, TraitError) as error:
        sys.exit(f"jupyter torch-proxy: {error}")
    # The server binds its port in a callback of the loop (jupyter_server 2.21); this comes after it.
    server.io_loop.add_callback(print, text, flush=True)
    server.start()


def prepare(arguments: argparse.Namespace) -> tuple[TorchProxyServer, str]:
    """Return the server that was asked for, and what it says when it listens."""
    TokenIdentityProvider.chosen = _token(arguments.token_file)
    # Where this server was itself started by a kernel: ours would end with the parent of that one.
    os.environ.pop("JPY_PARENT_PID", None)
    keep_freed_memory()
    server = TorchProxyServer.instance(config=_config(arguments))
    server.initialize(argv=[], find_extensions=False)
    [app] = server.extension_manager.extension_apps["kernel_proxy"]
    return server, _how_to_connect(app)


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
    for name in SETTINGS:
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
        formatter = {"class": "kernel_proxy.operations.journal.JsonFormatter"}
        config.Application.logging_config = {"formatters": {"console": formatter}}


def _token(file: str | None) -> str:
    """Return the token that the user chose, if any. Never an option: `ps` shows those to all."""
    # Taken out of the environment, which kernels inherit.
    token = os.environ.pop(TOKEN_VARIABLE, None)
    if file:
        token = Path(file).read_text(encoding="utf-8").strip()
    if token is not None and len(token) < 16:
        raise ValueError("the token is shorter than 16 characters; a guesser would find it.")
    return token or ""


def _how_to_connect(app: KernelProxy) -> str:
    address, owner = app.page_address, app.proxy.admission.owner
    lines = ["", f"Address: {address}"]
    # With a site its link is enough.
    if not TokenIdentityProvider.chosen and not app.site:
        lines.append(f"Token: {app.tokens.new_token(owner)}")
    if origins := sorted(app.allowed_origins):
        lines.append(f"Pages: {', '.join(origins)}")
        lines += ["", *invitation(app.tokens, address, owner, app.site)]
    else:
        lines.append("Pages: none. Start with --origin https://name.github.io to let a page in.")
    if app.shared_account:
        whose = f"Shared: all who are let in have the rights of {owner} here, and over each other."
    else:
        whose = f"Whoever is let in has the rights of {owner} here: one account, one person."
    return "\n".join(
        [*lines, "", whose, "In a notebook of the page:", f"    %torch connect {address}", ""]
    )
