"""What the proxy answers to whom: origins, tokens, pairing, bounds."""

import asyncio
import json
import os
import re
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import websockets

ORIGIN = "http://page.example"


def ask(proxy, path="", method="GET", token=None, origin=ORIGIN, body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if token:
        headers["Authorization"] = f"token {token}"
    if origin:
        headers["Origin"] = origin
    url = f"{proxy.url}/kernel_proxy/api/v1/{path}"
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


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


@pytest.mark.parametrize("path", ["", "sessions", "tensors", "pair", "channel"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
def test_unlisted_origin_gets_nothing(proxy, path, method):
    body = b"{}" if method in ("POST", "PUT") else None
    for origin in (
        "http://evil.example",
        "null",
        "http://page.example.evil",
        "HTTP://PAGE.EXAMPLE",
    ):
        status, headers, _ = ask(proxy, path, method, proxy.token, origin, body)
        assert status == 403
        assert not [name for name in headers if name.lower().startswith("access-control")]


def test_no_cookie_and_no_token_in_url(proxy):
    status, headers, _ = ask(proxy, token=proxy.token)
    assert "Set-Cookie" not in headers
    assert ask(proxy, f"?token={proxy.token}")[0] == 401


def test_the_rest_of_the_server_is_closed(proxy):
    for path in ("api/contents", "api/kernels", "api/sessions", "api/terminals", "api/me", "login",
                 "files/x", "lab", "tree"):  # fmt: skip
        request = urllib.request.Request(
            f"{proxy.url}/{path}", headers={"Authorization": f"token {proxy.token}"}
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=30)
        assert caught.value.code in (403, 404)
        caught.value.close()


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
    proxy = start_proxy("--site", "http://course.example/notes/")
    link = re.search(r"^Open: (\S+)$", proxy.printed, re.M)[1]
    assert link.startswith("http://course.example/notes/lab/index.html#torch=" + proxy.url)
    code = link.partition("code=")[2]

    def pair(code, origin="http://course.example"):
        status, _, body = ask(
            proxy, "pair", "POST", origin=origin, body=json.dumps({"code": code}).encode()
        )
        return status, json.loads(body)

    assert pair(code, origin=None)[0] == 403
    assert pair(code, origin="http://evil.example")[0] == 403
    assert pair("AAAA-AAAA")[1]["reason"] == "token"
    status, reply = pair(code)
    assert status == 200
    assert ask(proxy, token=reply["token"], origin="http://course.example")[0] == 200
    assert pair(code)[0] == 403


def test_guesser_voids_the_code(start_proxy):
    proxy = start_proxy("--site", "http://course.example")
    code = re.search(r"code=(\S+)$", proxy.printed, re.M)[1]
    body = json.dumps({"code": "AAAA-AAAA"}).encode()
    for _ in range(5):
        assert ask(proxy, "pair", "POST", origin="http://course.example", body=body)[0] == 403
    body = json.dumps({"code": code}).encode()
    assert ask(proxy, "pair", "POST", origin="http://course.example", body=body)[0] == 403


@pytest.mark.parametrize(
    "origin", ["*", "null", "https://*.github.io", "page.example", "file:///x"]
)
def test_patterns_are_no_origins(origin):
    run = subprocess.run(
        [sys.executable, "-m", "kernel_proxy", "--port", "0", "--origin", origin],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert run.returncode == 1 and "origin" in run.stderr and "Traceback" not in run.stderr


def test_token_is_in_no_output_and_not_in_the_kernels(proxy, notebook):
    notebook.torch("import os; seen = 'JUPYTER_TORCH_TOKEN' in os.environ")
    assert notebook.names["seen"] is False
    assert proxy.token not in proxy.printed


def test_token_is_in_no_log(tmp_path):
    token = secrets.token_urlsafe(24)
    log = tmp_path / "log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "kernel_proxy", "--port", "0", "--log-level", "DEBUG"],
            stdout=subprocess.PIPE, stderr=stderr, text=True,
            env={**os.environ, "JUPYTER_TORCH_TOKEN": token},
        )  # fmt: skip
        url = re.search(r"Address: (\S+)", process.stdout.readline() + process.stdout.readline())[1]
        request = urllib.request.Request(
            f"{url}/kernel_proxy/api/v1/", headers={"Authorization": f"token {token}"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            assert response.status == 200
        process.terminate()
        process.wait(timeout=30)
        rest = process.stdout.read()
        process.stdout.close()
    assert token not in log.read_text() and token not in rest


def test_the_proxy_never_imports_torch(proxy, notebook):
    notebook.torch("x = torch.ones(3)")
    maps = Path(f"/proc/{proxy.process.pid}/maps").read_text()
    assert "libtorch" not in maps
