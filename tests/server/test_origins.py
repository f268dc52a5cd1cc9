"""Which pages are answered, and to which names of its own the server answers."""

import http.client
import json

import pytest
import websockets
from pages import ask
from proxy import ORIGIN, Proxy
from raw_channel import RawChannel
from websockets.sync.client import connect

BASE = "/kernel_proxy/api/v1/"
LISTED = "https://name.example:8443"
#: What a page may try to pass for LISTED, or for ORIGIN, which is http://page.example.
TRICKS = [
    "null",
    "*",
    "",
    " ",
    "http://",
    "page.example",
    "//page.example",
    "https://page.example",
    "http://page.example:80",
    "http://page.example:8080",
    "http://page.example/",
    "http://page.example.",
    "http://page.example.evil.example",
    "http://page.examplee",
    "http://evil-page.example",
    "http://sub.page.example",
    "http://evil.example#http://page.example",
    "http://evil.example?http://page.example",
    "http://page.example@evil.example",
    "http://page.example\\.evil.example",
    "http://PAGE.example",
    "HTTP://page.example",
    "http://page.example, http://evil.example",
    "http://evil.example http://page.example",
    "http://page.example%00.evil.example",
    "http://xn--page-.example",
    "https://name.example",
    "https://name.example:443",
    "https://name.example:84430",
    "http://name.example:8443",
    "file://",
    "http://127.0.0.1",
    "http://localhost",
]


@pytest.fixture(scope="module")
def proxy():
    started = Proxy("--origin", LISTED, "--host", "gpu.example")
    yield started
    started.interrupt()


@pytest.fixture(scope="module")
def open_proxy():
    """One that listens on every address of the machine."""
    started = Proxy("--ip", "0.0.0.0", "--host", "GPU.example")
    yield started
    started.interrupt()


def head(proxy, method="GET", path=BASE, **headers):
    """Send headers as they are; return status, headers and body."""
    line = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)
    line.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        line.putheader(name.replace("_", "-"), value)
    line.endheaders()
    reply = line.getresponse()
    found = reply.status, reply.headers, reply.read()
    line.close()
    return found


def cors(headers):
    return {
        name: value for name, value in headers.items() if name.lower().startswith("access-control")
    }


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_an_origin_is_let_in_by_its_exact_name_alone(proxy, method):
    answered = []
    for origin in TRICKS:
        for path in ("", "pair", "sessions", "tensors", "origins", "channel"):
            token = f"token {proxy.token}"
            status, headers, _ = head(
                proxy, method, BASE + path, Origin=origin, Authorization=token
            )
            if status != 403 or cors(headers):
                answered.append((origin, path, status, cors(headers)))
    assert not answered


def test_no_channel_opens_for_them(proxy):
    for origin in TRICKS:
        with pytest.raises(websockets.InvalidStatus) as caught:
            connect(f"ws://127.0.0.1:{proxy.port}{BASE}channel", origin=origin).close()
        assert caught.value.response.status_code == 403


def test_a_preflight_names_the_origin_that_is_listed(proxy):
    asked = {
        "Access_Control_Request_Method": "GET",
        "Access_Control_Request_Headers": "authorization, x-of-the-page",
    }
    for origin in (ORIGIN, LISTED):
        status, headers, body = head(proxy, "OPTIONS", Origin=origin, **asked)
        assert status == 204 and body == b""
        found = cors(headers)
        assert found.pop("Access-Control-Allow-Origin") == origin
        assert "x-of-the-page" not in found.pop("Access-Control-Allow-Headers").lower()
        assert found.pop("Access-Control-Allow-Methods") == "GET, POST, PUT, DELETE"
        assert set(found) == {"Access-Control-Expose-Headers", "Access-Control-Max-Age"}
        assert headers["Vary"] == "Origin"
    # Without an origin nobody is told anything.
    assert cors(head(proxy, "OPTIONS", **asked)[1]) == {}


def test_errors_are_readable_by_listed_pages_alone(proxy):
    token = {"Authorization": f"token {proxy.token}"}
    for method, path, headers, wanted in (
        ("GET", BASE, {}, 401),
        ("GET", f"{BASE}tensors", token, 400),
        ("DELETE", f"{BASE}sessions", {**token, "Torch_Session": "x" * 12}, 404),
        ("PUT", BASE, token, 405),
        ("BREW", BASE, token, 405),
        ("GET", BASE, {**token, "Host": "evil.example"}, 403),
    ):
        status, found, body = head(proxy, method, path, Origin=ORIGIN, **headers)
        assert status == wanted and found["Access-Control-Allow-Origin"] == ORIGIN
        assert set(json.loads(body)) == {"reason", "message"}
        status, found, body = head(proxy, method, path, Origin="http://evil.example", **headers)
        assert cors(found) == {}
        assert json.loads(body)["message"] in (
            "This origin is not allowed here.",
            "The server says: 405 Method Not Allowed.",
        )


def test_a_page_that_is_not_listed_executes_nothing(proxy, tmp_path):
    page = RawChannel(proxy)
    page.greet()
    for origin in ("http://evil.example", "null"):
        arguments = dict(token=proxy.token, origin=origin)
        assert ask(proxy, "sessions", "DELETE", Torch_Session=page.session, **arguments)[0] == 403
        here = "http://127.0.0.1:1"
        assert ask(proxy, "origins", "POST", Torch_Origin=here, **arguments)[0] == 403
        with pytest.raises(websockets.InvalidStatus):
            connect(f"ws://127.0.0.1:{proxy.port}{BASE}channel", origin=origin).close()
    cell = page.cell("1 + 1")
    assert page.reply(cell)["msg"]["metadata"]["torch"]["result"] == 2
    assert ask(proxy, token=proxy.token, origin="http://127.0.0.1:1")[0] == 403
    page.shut_down()


def is_refused(status, body):
    # Tornado itself refuses what is no host at all (6.6), without a word.
    return (status == 403 and json.loads(body)["reason"] == "host") or (status == 400 and not body)


REBOUND = [
    "evil.example",
    "evil.example:8889",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "evil-localhost",
    "localhost.",
    "gpu.example.evil.example",
    "evil.example@127.0.0.1",
    "127.0.0.1@evil.example",
    "127.0.0.1/evil.example",
    "127.0.0.1 evil.example",
    "127.0.0.1,evil.example",
    "2130706433",
    "0x7f000001",
    "127.1",
    "[::1",
    "[evil.example]",
    "",
]
FOREIGN = ["192.0.2.1", "192.0.2.1:8889", "0.0.0.0", "[2001:db8::1]:80"]
OWN = ["127.0.0.1", "127.0.0.1:1", "127.8.8.8", "[::1]:8889", "localhost", "LOCALHOST:8889"]


@pytest.mark.parametrize(
    ("kind", "refused", "answered"),
    [
        ("proxy", REBOUND + FOREIGN, [*OWN, "gpu.example", "GPU.EXAMPLE:443"]),
        ("open_proxy", REBOUND, [*OWN, *FOREIGN, "gpu.example:8889"]),
    ],
)
def test_a_name_that_points_here_is_not_enough(request, kind, refused, answered):
    """DNS rebinding: its page and this server have one origin for the browser."""
    proxy = request.getfixturevalue(kind)
    wrong = []
    for hosts, wanted in ((refused, False), (answered, True)):
        for host in hosts:
            headers = {"Host": host, "Authorization": f"token {proxy.token}"}
            replies = [
                head(proxy, **headers),
                # Pairing and the channel, which need no token yet.
                head(proxy, "POST", f"{BASE}pair", Host=host, Origin=ORIGIN),
                head(proxy, "GET", f"{BASE}channel", Host=host, Origin=ORIGIN),
            ]
            passed = [not is_refused(status, body) for status, _, body in replies]
            if passed != [wanted] * 3 or (wanted and replies[0][0] != 200):
                wrong.append((host, passed))
    assert not wrong
