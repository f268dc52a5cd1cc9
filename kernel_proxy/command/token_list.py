"""`jupyter torch-proxy tokens`: which pages are let in, and how to put them out."""

import argparse
import sys
from datetime import datetime
from pathlib import Path

from ..access.tokens import PageToken, Tokens
from . import running


def main(argv: list[str]) -> None:
    """Run `jupyter torch-proxy tokens`."""
    arguments = _parser().parse_args(argv)
    try:
        folder = Path(arguments.state or running.choose(arguments.port).state)
        if not folder.is_dir():
            raise LookupError(f"there is no state folder {folder}.")
        print(_do(arguments, Tokens(folder)))
    except (LookupError, OSError) as error:
        sys.exit(f"jupyter torch-proxy tokens: {error}")


def _do(arguments: argparse.Namespace, tokens: Tokens) -> str:
    if arguments.revoke_all:
        return f"{tokens.revoke_all()} tokens are revoked, and all codes."
    if arguments.revoke:
        if not tokens.revoke(arguments.revoke):
            raise LookupError(f"there is no token {arguments.revoke}.")
        return f"The token {arguments.revoke} is revoked."
    return _table(tokens.good()) or "No page has a token."


def _table(tokens: list[PageToken]) -> str:
    rows = [("ID", "ORIGIN", "PERSON", "CREATED", "LAST USED", "EXPIRES")] if tokens else []
    for token in tokens:
        origin = token.origin or "(any allowed)"
        used = token.used["wall"]
        times = (token.created["wall"], used, used + token.lifetime_s)
        rows.append((token.id, origin, token.person, *map(_said, times)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _said(moment: float) -> str:
    return datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jupyter torch-proxy tokens",
        description="List the tokens that pages have, or revoke them. A use is noted to the hour.",
    )
    add = parser.add_argument
    add("--revoke", metavar="ID", help="void a token; what is open with it ends within two seconds")
    add("--revoke-all", action="store_true", help="void all tokens and all codes")
    add("--port", type=int, help="port of the server (default: the only one that runs)")
    add("--state", metavar="DIR", help="state folder, for a server that does not run")
    return parser
