"""Requests of pages and of programs to a server with the proxy in it, by plain HTTP."""

import json
import urllib.error
import urllib.request

from proxy import ORIGIN


def ask(proxy, path="", method="GET", token=None, origin=ORIGIN, body=None, **headers):
    """Return status, headers and body of the reply, whatever it is."""
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
        with error:
            return error.code, error.headers, error.read()


def redeem(proxy, code, origin=ORIGIN):
    """Return status and answer to a pairing code."""
    body = json.dumps({"code": code}).encode()
    status, _, answer = ask(proxy, "pair", "POST", origin=origin, body=body)
    return status, json.loads(answer)


def pair(proxy, code, origin=ORIGIN):
    """Return the token for a pairing code."""
    status, answer = redeem(proxy, code, origin)
    assert status == 200, answer
    return answer["token"]
