"""The command line of `jupyter torch-proxy`."""

import importlib
import sys

#: jsonschema 4.26, which jupyter_server imports, takes this one for addresses with letters beyond
#: ASCII (IRIs), if it is there. None of jupyter_server's schemas has one, and rfc3987-syntax 1.1.0
#: builds its grammar as it is imported: more than half of the time until the server listens.
SLOW_AND_UNUSED = "rfc3987_syntax"
#: The module of each subcommand, loaded when it is asked for: that of the server takes a second.
SUBCOMMANDS = {"doctor": "doctor", "pair": "pairing", "tokens": "token_list"}


def main(argv: list[str] | None = None) -> None:
    """Run a subcommand, or without one the server."""
    argv = sys.argv[1:] if argv is None else argv
    name, rest = "start", argv
    if argv and argv[0] in SUBCOMMANDS:
        name, rest = SUBCOMMANDS[argv[0]], argv[1:]
    # Python's own mark of a module that is not there.
    sys.modules.setdefault(SLOW_AND_UNUSED, None)
    importlib.import_module(f".{name}", __package__).main(rest)
