"""What the proxy answers to whom: origins, tokens, pairing, bounds."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
import websockets
from pages import ask, redeem
from proxy import ORIGIN


def test_description_needs_token_and_origin(proxy):
    status, headers, body = ask(proxy, token=proxy.token)
    assert status == 200 and json.loads(body)["protocol"] == 1
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert ask(proxy, token=proxy.token, origin=None)[0] == 200


@pytest.mark.parametrize("token", [None, "wrong", ""])
def test_wrong_token_is_told_readably(proxy, token):
    status, headers, body = ask(proxy, token=token)
    assert status == 401 and json.loads(body)["reason"] == "token"
    assert headers["Access-Control-Allow-Origin"] == ORIGIN


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "sessions"), ("DELETE", "sessions"), ("GET", "tensors")],
)
def test_wrong_token_is_told_for_every_method(proxy, method, path):
    body = b"x" if method == "PUT" else None
    status, _, reply = ask(proxy, path, method, "wrong", body=body, Torch_Session="s" * 12)
    assert status == 401 and json.loads(reply)["reason"] == "token"


def test_program_with_the_token_may_let_a_loopback_page_in(proxy):
    page, token = "http://127.0.0.1:54321", proxy.token
    assert ask(proxy, "origins", "POST", "wrong", None, Torch_Origin=page)[0] == 401
    assert ask(proxy, "origins", "POST", token, ORIGIN, Torch_Origin=page)[0] == 403
    assert ask(proxy, "origins", "POST", token, page, Torch_Origin=page)[0] == 403
    for other in ("https://evil.example", "*", "null", ""):
        assert ask(proxy, "origins", "POST", token, None, Torch_Origin=other)[0] == 400
    assert ask(proxy, token=token, origin=page)[0] == 403
    assert ask(proxy, "origins", "POST", token, None, Torch_Origin=page)[0] == 204
    assert ask(proxy, token=token, origin=page)[0] == 200
    assert ask(proxy, "origins", "DELETE", token, None, Torch_Origin=page)[0] == 204
    assert ask(proxy, token=token, origin=page)[0] == 403


def test_host_header_is_checked(proxy):
    status, _, body = ask(proxy, token=proxy.token, Host="evil.example")
    assert status == 403 and json.loads(body)["reason"] == "host" and b"Host: 127.0.0.1" in body


def hello(proxy, origin=ORIGIN, **changes):
    """Open a channel; return its first frame."""
    frame = {
        "type": "hello", "protocol": 1, "token": proxy.token, "session": "s" * 12, "log": None,
        "seq": 0, **changes,
    }  # fmt: skip

    async def talk():
        url = proxy.url.replace("http", "ws") + "/kernel_proxy/api/v1/channel"
        async with websockets.connect(url, origin=origin) as socket:
            await socket.send(json.dumps(frame))
            return json.loads(await socket.recv())

    return asyncio.run(talk())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"token": "wrong"}, "token"),
        ({"protocol": 2}, "protocol"),
        ({"type": "request"}, "bad-request"),
        ({"session": "../../etc"}, "bad-request"),
        ({"session": None}, "bad-request"),
        ({"token": None}, "bad-request"),
    ],
)
def test_channel_refuses(proxy, changes, reason):
    frame = hello(proxy, **changes)
    assert frame["type"] == "refused" and frame["reason"] == reason


def test_channel_is_closed_to_other_origins(proxy):
    with pytest.raises(websockets.InvalidStatus) as caught:
        hello(proxy, origin="http://evil.example")
    assert caught.value.response.status_code == 403


def test_stranger_may_not_send_much(proxy):
    async def talk():
        url = proxy.url.replace("http", "ws") + "/kernel_proxy/api/v1/channel"
        async with websockets.connect(url, origin=ORIGIN) as socket:
            await socket.send("x" * 100_000)
            await socket.recv()

    with pytest.raises(websockets.ConnectionClosed):
        asyncio.run(talk())


def test_bodies_have_a_bound(proxy):
    assert ask(proxy, "pair", "POST", body=b"x" * 60_000)[0] == 400
    status, _, body = ask(proxy, "tensors", token=proxy.token, Torch_Session="nothing-there")
    assert status == 404 and b"no such session" in body


def test_pairing_code_works_once_from_a_listed_page(start_proxy):
    page = "http://course.example"
    proxy = start_proxy("--site", f"{page}/notes/")
    assert proxy.link == f"{page}/notes/lab/index.html#torch={proxy.url}&code={proxy.code}"
    assert redeem(proxy, proxy.code, origin=None)[0] == 403
    assert redeem(proxy, proxy.code, origin="http://evil.example")[0] == 403
    # Another listed page than the one that it was made for.
    assert redeem(proxy, proxy.code)[1]["reason"] == "token"
    assert redeem(proxy, "AAAA-AAAA", page)[1]["reason"] == "token"
    status, reply = redeem(proxy, proxy.code.lower().replace("-", ""), page)
    assert status == 200
    assert ask(proxy, token=reply["token"], origin=page)[0] == 200
    assert redeem(proxy, proxy.code, page)[0] == 403


@pytest.mark.parametrize(
    "origin", ["*", "null", "https://*.github.io", "page.example", "file:///x"]
)
def test_patterns_are_no_origins(origin):
    run = subprocess.run(
        [sys.executable, "-m", "kernel_proxy", "--port", "0", "--origin", origin],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert run.returncode == 1 and "origin" in run.stderr and "Traceback" not in run.stderr


def test_the_proxy_never_imports_torch(proxy, notebook):
    notebook.torch("x = torch.ones(3)")
    maps = Path(f"/proc/{proxy.process.pid}/maps").read_text()
    assert "libtorch" not in maps
