"""Every route of a server, by every method, with every credential: what is not allowed is refused.

Both for `jupyter torch-proxy` and for an ordinary server with the extension in it. The routes are those
of the application itself: one that RULES does not know fails.
"""

import contextlib
import http.client
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import websockets
from ordinary import OrdinaryServer
from proxy import ORIGIN, Proxy
from routes import routes
from websockets.sync.client import connect

from kernel_proxy.access.tokens import Tokens

BASE = "/kernel_proxy/api/v1/"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
#: Another origin that the servers let in.
NEIGHBOUR = "http://neighbour.example"
STRANGER = "http://evil.example"

#: Which methods a route of the proxy has: those that need a token, and those that need none.
RULES = {
    f"{BASE}$": ({"GET"}, {"OPTIONS"}),
    f"{BASE}pair$": (set(), {"POST", "OPTIONS"}),
    f"{BASE}sessions$": ({"GET", "DELETE"}, {"OPTIONS"}),
    f"{BASE}origins$": ({"POST", "DELETE"}, {"OPTIONS"}),
    f"{BASE}tensors$": ({"GET"}, {"OPTIONS"}),
    f"{BASE}files$": ({"GET"}, {"OPTIONS"}),
    f"{BASE}file$": ({"GET", "PUT", "DELETE"}, {"OPTIONS"}),
    # Its token comes in the first message.
    f"{BASE}channel$": (set(), {"GET", "OPTIONS"}),
    f"{BASE}health$": (set(), {"GET", "OPTIONS"}),
    f"{BASE}metrics$": ({"GET"}, {"OPTIONS"}),
    f"{BASE}status$": ({"GET"}, {"OPTIONS"}),
    f"{BASE}variables$": ({"GET", "DELETE"}, {"OPTIONS"}),
    f"{BASE}preview$": ({"POST"}, {"OPTIONS"}),
    f"{BASE}interrupt$": ({"POST"}, {"OPTIONS"}),
    f"{BASE}restart$": ({"POST"}, {"OPTIONS"}),
    f"{BASE}rename$": ({"POST"}, {"OPTIONS"}),
    f"{BASE}complete$": ({"POST"}, {"OPTIONS"}),
    f"{BASE}inspect$": ({"POST"}, {"OPTIONS"}),
    # Whatever else is below the proxy's address.
    r"/kernel_proxy(?:/.*)?$": (set(METHODS) - {"OPTIONS"}, {"OPTIONS"}),
}
#: What `jupyter torch-proxy` has beside them: the stock server's own, empty or closed.
STOCK = {
    r"/(robots\.txt)$",
    r"/(favicon\.ico)$",
    r"/static/(.*)$",
    r"/files/(.*)$",
    r"/.*/$",
    r"/api$",
    r"/(robots\.txt|favicon\.ico)$",
    r"/metrics$",
    r"/$",
    r"(.*)$",
}
#: Those of them that answer a stranger, with nothing to be learned but the server's version.
PUBLIC = {"/favicon.ico", "/api", "/", "/login", "/logout"}


@pytest.fixture(scope="module", params=["torch-proxy", "ordinary"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def server(kind, tmp_path_factory):
    folder = tmp_path_factory.mktemp(kind)
    if kind == "torch-proxy":
        settings = ("--state", str(folder / "state"), "--origin", NEIGHBOUR)
        started = Proxy(*settings, env={"JUPYTER_RUNTIME_DIR": str(folder)}, log=folder / "log")
        started.state = folder / "state"
    else:
        setting = f"c.KernelProxy.origins.append({NEIGHBOUR!r})"
        started = OrdinaryServer(folder, setting, log=folder / "log")
    yield started
    started.interrupt()


@pytest.fixture(scope="module")
def credentials(server):
    """What callers show, by what it is: the value of Authorization, and the Origin."""
    tokens = Tokens(server.state)

    def paired():
        return tokens.redeem(tokens.new_code("tester", ORIGIN), ORIGIN)

    page, expired, revoked = paired(), paired(), paired()
    _, old, void = tokens.good()
    with tokens._changing() as content:
        # Nothing that a test could wait for.
        content.tokens[old.id] = replace(old, used={"wall": 0.0})
    tokens.revoke(void.id)
    with tokens._changing() as content:
        # Of the account that the server runs as, whatever that is here.
        person = server_owner(server)
        content.tokens = {i: replace(token, person=person) for i, token in content.tokens.items()}
    return {
        "none": (None, ORIGIN),
        "none, of another page": (None, STRANGER),
        "wrong": ("token wrong-wrong-wrong-wrong", ORIGIN),
        "half": (f"token {page[:-1]}", ORIGIN),
        "basic": (f"Basic {page}", ORIGIN),
        "of a page": (f"token {page}", ORIGIN),
        "of a page, by a neighbour": (f"token {page}", NEIGHBOUR),
        "of a page, by a program": (f"token {page}", None),
        "of a page, by another page": (f"token {page}", STRANGER),
        "expired": (f"token {expired}", ORIGIN),
        "revoked": (f"token {revoked}", ORIGIN),
        "of the server": (f"token {server.token}", ORIGIN),
        "of the server, by a program": (f"Bearer {server.token}", None),
        "of the server, by another page": (f"token {server.token}", STRANGER),
    }


GOOD = {"of a page", "of the server", "of the server, by a program"}


def server_owner(server):
    runtime = Path(server.env["JUPYTER_RUNTIME_DIR"])
    return json.loads((runtime / f"torch-proxy-{server.process.pid}.json").read_text())["owner"]


@pytest.fixture(scope="module")
def found(kind, tmp_path_factory, server):
    folder = str(tmp_path_factory.mktemp("routes"))
    return routes(kind, {**server.env, "JUPYTER_RUNTIME_DIR": folder, "TMPDIR": folder})


class Line:
    """One connection, opened again when the server closes it."""

    def __init__(self, server):
        self._server, self._line = server, None

    def ask(self, method, path, authorization=None, origin=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if authorization:
            headers["Authorization"] = authorization
        if origin:
            headers["Origin"] = origin
        for _ in range(2):
            self._line = self._line or http.client.HTTPConnection(
                "127.0.0.1", self._server.port, timeout=30
            )
            try:
                self._line.request(method, path, headers=headers)
                reply = self._line.getresponse()
                reply.body = reply.read()
                return reply
            except (http.client.RemoteDisconnected, ConnectionError):
                self.close()
        raise AssertionError(f"{method} {path} is not answered")

    def close(self):
        if self._line:
            self._line.close()
        self._line = None


@pytest.fixture(scope="module")
def line(server):
    opened = Line(server)
    yield opened
    opened.close()


def test_every_route_has_a_rule(kind, found):
    patterns = {route.pattern for route in found if route.handler.startswith("kernel_proxy")}
    assert patterns == set(RULES)
    if kind == "torch-proxy":
        assert {route.pattern for route in found} - patterns == STOCK


def expected(rule, method, credential):
    """The statuses that fit: what gets through to a route may fail there for want of more."""
    needing, open_ones = rule
    if "another page" in credential:
        return {403}
    if method in open_ones:
        return {200, 204, 400, 403}
    if credential not in GOOD:
        return {401}
    return {200, 204, 400, 403, 404} if method in needing else {405}


def test_the_proxys_routes_let_in_whom_they_should(line, found, credentials):
    wrong = []
    for route in found:
        if route.pattern not in RULES:
            continue
        for method in METHODS:
            for name, (authorization, origin) in credentials.items():
                reply = line.ask(method, route.path, authorization, origin)
                allowed = reply.getheader("Access-Control-Allow-Origin")
                others = {
                    header
                    for header in reply.headers
                    if header.lower().startswith("access-control-allow") and not allowed
                }
                fits = (
                    reply.status in expected(RULES[route.pattern], method, name)
                    and allowed == (origin if origin in (ORIGIN, NEIGHBOUR) else None)
                    and not others
                    and reply.getheader("Set-Cookie") is None
                    and reply.getheader("Location") is None
                    and reply.getheader("Cache-Control") == "no-store"
                )
                # What is refused says nothing but why.
                if reply.status in (401, 403, 405) and method != "HEAD":
                    fits = fits and set(json.loads(reply.body)) == {"reason", "message"}
                if not fits:
                    wrong.append((method, route.path, name, reply.status, allowed))
    assert not wrong, f"{len(wrong)} of the combinations: {wrong[:20]}"


def test_the_rest_of_the_server_knows_no_token_of_a_page(line, found, credentials):
    wrong = []
    for route in found:
        if route.pattern in RULES:
            continue
        for method in METHODS:
            for name in (
                "none",
                "of a page",
                "of a page, by a program",
                "expired",
                "revoked",
                "wrong",
            ):
                authorization, origin = credentials[name]
                stranger = line.ask(method, route.path, None, origin)
                reply = line.ask(method, route.path, authorization, origin)
                fits = (
                    (reply.status, reply.getheader("Location"), reply.getheader("Allow"))
                    == (
                        stranger.status,
                        stranger.getheader("Location"),
                        stranger.getheader("Allow"),
                    )
                    # A page learns nothing of the answer, whatever that is.
                    and reply.getheader("Access-Control-Allow-Origin") is None
                    and (reply.status >= 300 or route.path in PUBLIC or method == "OPTIONS")
                )
                if not fits:
                    wrong.append((method, route.path, name, reply.status, stranger.status))
    assert not wrong, f"{len(wrong)} of the combinations: {wrong[:20]}"


def test_the_torch_proxy_has_nothing_for_its_own_token_either(kind, line, found, credentials):
    if kind != "torch-proxy":
        return
    for route in found:
        # The stock server's /metrics asks no authorizer (jupyter_server 2.21).
        if route.pattern not in RULES and route.path not in PUBLIC | {"/metrics"}:
            for method in METHODS:
                reply = line.ask(method, route.path, *credentials["of the server"])
                assert reply.status >= 300, (method, route.path, reply.status)


def test_no_other_websocket_opens_for_a_token_of_a_page(server, found, credentials):
    tried = 0
    for route in found:
        if not route.is_websocket or route.pattern in RULES:
            continue
        for name in ("none", "of a page", "of a page, by a program", "expired", "revoked"):
            authorization, origin = credentials[name]
            headers = {"Authorization": authorization} if authorization else {}
            with pytest.raises(websockets.InvalidStatus) as caught:
                connect(
                    f"ws://127.0.0.1:{server.port}{route.path}",
                    origin=origin,
                    additional_headers=headers,
                ).close()
            assert caught.value.response.status_code in (401, 403, 404), (route.path, name)
            tried += 1
    assert tried or len(found) == len(RULES) + len(STOCK)


def first_frame(server, token, origin, **headers):
    with connect(
        f"ws://127.0.0.1:{server.port}{BASE}channel", origin=origin, additional_headers=headers
    ) as socket:
        hello = {"type": "hello", "protocol": 1, "token": token, "log": None, "seq": 0}
        # A session that can not be: whoever is let in is refused for that.
        socket.send(json.dumps({**hello, "session": "../.."}))
        return json.loads(socket.recv(timeout=30))["reason"]


def test_the_channel_lets_in_whom_it_should(server, credentials):
    for name, (authorization, origin) in credentials.items():
        token = authorization and authorization.partition(" ")[2]
        if "another page" in name:
            with pytest.raises(websockets.InvalidStatus) as caught:
                first_frame(server, token, origin)
            assert caught.value.response.status_code == 403
            continue
        # The scheme of a header means nothing in a message.
        good = name in GOOD or name == "basic"
        wanted = "bad-request" if good or token is None else "token"
        assert first_frame(server, token, origin) == wanted, name
    # What came with the upgrade does not count.
    authorization = f"token {server.token}"
    assert first_frame(server, "wrong", ORIGIN, Authorization=authorization) == "token"


def test_a_token_is_taken_from_the_header_alone(server, line, credentials):
    page = credentials["of a page"][0].split()[1]
    for token, origin in ((page, ORIGIN), (server.token, ORIGIN), (server.token, None)):
        reply = line.ask("GET", f"{BASE}?token={token}", None, origin)
        assert reply.status == 401 and not reply.getheader("Set-Cookie")
        # Not even beside a good one: it would be in logs by then.
        assert line.ask("GET", f"{BASE}?token={token}", f"token {token}", origin).status == 401
        assert line.ask("GET", BASE, None, origin, Cookie=f"token={token}").status == 401
        form = {"Content_Type": "application/x-www-form-urlencoded"}
        assert line.ask("POST", f"{BASE}sessions", None, origin, **form).status == 401


def test_no_large_body_is_read(server, found, credentials):
    """None is sent here, so whoever waits for it does not answer."""
    for route in found:
        for method in ("POST", "PUT", "DELETE") if route.pattern in RULES else ():
            for name in ("none", "of a page", "of the server", "of the server, by another page"):
                authorization, origin = credentials[name]
                line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
                line.putrequest(method, route.path)
                line.putheader("Content-Length", str(2**29))
                line.putheader("Origin", origin)
                line.putheader("Authorization", authorization or "")
                line.endheaders()
                assert line.getresponse().status in (400, 401, 403, 405)
                line.close()


def test_a_login_of_the_server_is_no_login_of_the_proxy(kind, server, line):
    """Its cookie goes with the requests of any page that the browser shows."""
    if kind != "ordinary":
        return
    login = line.ask("GET", "/api/status", f"token {server.token}")
    cookie = login.getheader("Set-Cookie").partition(";")[0]
    assert line.ask("GET", "/api/status", Cookie=cookie).status == 200
    for origin in (ORIGIN, None):
        for authorization in (None, "token wrong"):
            assert line.ask("GET", BASE, authorization, origin, Cookie=cookie).status == 401
        assert first_frame(server, "wrong", origin, Cookie=cookie) == "token"
    # A good token with it sets none, and clears none.
    for sent in (cookie, "username-127-0-0-1=broken"):
        reply = line.ask("GET", BASE, f"token {server.token}", ORIGIN, Cookie=sent)
        assert reply.status == 200 and reply.getheader("Set-Cookie") is None


def test_a_server_that_asks_nobody_still_asks_pages(tmp_path):
    """`IdentityProvider.token = ''` opens all of a server; the proxy takes page tokens alone then."""
    with contextlib.closing(
        Stopping(OrdinaryServer(tmp_path, "c.IdentityProvider.token = ''"))
    ) as s:
        line = Line(s.server)
        assert line.ask("GET", "/api/status").status == 200
        for authorization in (None, "token ", "token x", f"token {s.server.token}"):
            assert line.ask("GET", BASE, authorization, ORIGIN).status == 401
        line.close()


class Stopping:
    """Ends a server on close."""

    def __init__(self, server):
        self.server, self.close = server, server.interrupt


def test_no_token_and_no_fault_is_in_the_log(server, line, credentials):
    """After all of the above."""
    log = server.log.read_text()
    # The stock handlers leave tracebacks there (jupyter_server 2.21).
    assert not re.search(r'File "[^"]*/kernel_proxy/', log)
    assert "401" in log or "WARN" in log or "kernel_proxy" in log
    for name, (authorization, _) in credentials.items():
        if authorization and name != "wrong":
            assert authorization.split()[1] not in log, name
