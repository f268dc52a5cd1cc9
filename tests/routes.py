"""Every route of a server, taken from the application that it serves.

`python routes.py torch-proxy` and `python routes.py ordinary` print them as JSON.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Route:
    """A pattern, a path that it matches, and the module that handles that."""

    pattern: str
    path: str
    handler: str
    is_websocket: bool


def routes(kind, env):
    """Return the routes of a server of that kind."""
    done = subprocess.run(
        [sys.executable, __file__, kind],
        env=os.environ | env,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    found = []
    for pattern, handler, is_websocket in json.loads(done.stdout.splitlines()[-1]):
        path = an_example(pattern)
        taken = [route for route in found if re.match(route.pattern, path)]
        # The stock server itself has one route behind two others.
        assert not taken or handler.startswith("jupyter_server."), pattern
        found.append(Route(pattern, path, handler, is_websocket))
    return found


def an_example(pattern):
    """Return a path that a route's pattern matches."""
    path = _spelled(re._parser.parse(pattern))
    path = path if path.startswith("/") else f"/nothing-there{path}"
    assert re.match(pattern, path), (pattern, path)
    return path


def _spelled(parsed):
    return "".join(_SPELL[str(kind)](value) for kind, value in parsed)


_SPELL = {
    "LITERAL": chr,
    "ANY": lambda _: "x",
    "AT": lambda _: "",
    "IN": lambda choices: _first(choices),
    "NOT_LITERAL": lambda _: "y",
    "BRANCH": lambda value: _spelled(value[1][0]),
    "SUBPATTERN": lambda value: _spelled(value[3]),
    # Not nothing where there may be something.
    "MAX_REPEAT": lambda value: _spelled(value[2]) * max(value[0], min(value[1], 1)),
}


def _first(choices):
    kind, value = choices[0]
    return chr(value) if str(kind) == "LITERAL" else "w"


def _rules(router):
    for rule in router.rules:
        if hasattr(rule.target, "rules"):
            yield from _rules(rule.target)
        else:
            yield rule


def _server(kind):
    if kind == "torch-proxy":
        from kernel_proxy.command.options import parser
        from kernel_proxy.command.start import prepare

        return prepare(parser().parse_args(["--port", "0"]))[0]
    from jupyter_server.serverapp import ServerApp

    server = ServerApp.instance()
    server.initialize(argv=[])
    return server


if __name__ == "__main__":
    from tornado.websocket import WebSocketHandler

    rules = _rules(_server(sys.argv[1]).web_app.default_router)
    print(
        json.dumps(
            [
                (
                    rule.matcher.regex.pattern,
                    rule.target.__module__,
                    issubclass(rule.target, WebSocketHandler),
                )
                for rule in rules
            ]
        )
    )
