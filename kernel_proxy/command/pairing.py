"""What a person gets to connect a page: a link and a code, and `jupyter torch-proxy pair`."""

import argparse
import sys
from pathlib import Path

from ..access.origins import exact_origin
from ..access.tokens import Tokens
from . import running


def invitation(tokens: Tokens, address: str, person: str, site: str = "") -> list[str]:
    """Return the lines that say how a page connects; only that of `site` can, if it is named."""
    code = tokens.new_code(person, exact_origin(site) if site else None)
    lines = [f"Code: {code}"]
    if site:
        lines = [f"Open: {site.rstrip('/')}/lab/index.html#torch={address}&code={code}", *lines]
    return [*lines, "(works once, for ten minutes; the page takes it in the place of a token, too)"]


def main(argv: list[str]) -> None:
    """Run `jupyter torch-proxy pair`."""
    arguments = _parser().parse_args(argv)
    try:
        print("\n".join(_pair(arguments)))
    except (LookupError, ValueError, OSError) as error:
        sys.exit(f"jupyter torch-proxy pair: {error}")


def _pair(arguments: argparse.Namespace) -> list[str]:
    proxy = running.choose(arguments.port)
    site, person = arguments.site or proxy.site, arguments.person or proxy.owner
    if site and exact_origin(site) not in proxy.origins:
        raise ValueError(
            f"the server on port {proxy.port} does not let pages of {exact_origin(site)} in. Start it "
            "with --origin and that."
        )
    if person != proxy.owner and not proxy.shared:
        raise ValueError(
            f"the server on port {proxy.port} runs as one account, that of {proxy.owner}, and {person} "
            "would have all rights of it: read its files, and those of sessions of others. Start it with "
            "--shared-account if all who use it may do that to each other, or give everybody a server."
        )
    return [
        f"Server: port {proxy.port}, state in {proxy.state}",
        *invitation(Tokens(Path(proxy.state)), arguments.address or proxy.address, person, site),
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jupyter torch-proxy pair",
        description="Make a link and a code that connect one more page to a server that runs.",
    )
    add = parser.add_argument
    add("--site", help="address of the page (default: that of the server's own --site)")
    add("--person", metavar="NAME", help="who it is for (default: whose account this is)")
    add("--port", type=int, help="port of the server (default: the only one that runs)")
    add("--address", metavar="URL", help="how that page reaches the server, if not as others do")
    return parser
