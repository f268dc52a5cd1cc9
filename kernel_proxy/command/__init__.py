"""The command line of `jupyter torch-proxy`."""

import importlib
import sys

#: The module of each subcommand, loaded when it is asked for: that of the server takes a second.
SUBCOMMANDS = {"doctor": "doctor", "pair": "pairing", "tokens": "token_list"}


def main(argv: list[str] | None = None) -> None:
    """Run a subcommand, or without one the server."""
    argv = sys.argv[1:] if argv is None else argv
    name, rest = "start", argv
    if argv and argv[0] in SUBCOMMANDS:
        name, rest = SUBCOMMANDS[argv[0]], argv[1:]
    importlib.import_module(f".{name}", __package__).main(rest)
