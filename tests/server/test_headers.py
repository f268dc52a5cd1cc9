"""Headers of Jupyter messages that a kernel would not answer: they are refused before it has them."""

import json
import secrets
import uuid

import pytest
from hostile import RawWebSocket
from raw_channel import RawChannel

CODE = {"code": "1 + 1", "silent": False, "store_history": True, "allow_stdin": False}
ABSENT = "absent"


def cell(**header):
    header = {
        "msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": "s", "username": "",
        "version": "5.4", "date": "2026-01-01T00:00:00Z",
    } | header  # fmt: skip
    header = {key: value for key, value in header.items() if value != ABSENT}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": CODE}
    return json.dumps({"type": "request", "channel": "shell", "msg": message}).encode()


@pytest.mark.parametrize(
    "header",
    [
        {"version": "5z4"},
        {"version": "54"},
        {"version": ""},
        {"version": None},
        {"version": ABSENT},
        {"date": "2026-13-01T00:00:00Z"},
        {"date": "9999-12-31T23:59:60+00:00"},
        {"username": "2026-02-30T00:00:00"},
    ],
    ids=str,
)
def test_refused(proxy, header):
    """The session goes on, for this page as well: what the kernel heard last it can repeat."""
    session = secrets.token_urlsafe(12)
    line = RawWebSocket(proxy)
    assert line.hello(session)["type"] == "welcome"
    line.frame(cell(**header))
    while b"refused" not in (data := line.receive()[1]):
        pass
    assert json.loads(data)["message"] == "A request needs a Jupyter message."
    line.close()
    page = RawChannel(proxy, session)
    assert page.greet()["type"] == "welcome"
    page.reply(page.cell("1"))
    page.shut_down()


@pytest.mark.parametrize(
    "header", [{"version": "5"}, {"version": "5.0"}, {"date": "today"}], ids=str
)
def test_taken(proxy, header):
    session = secrets.token_urlsafe(12)
    line = RawWebSocket(proxy)
    assert line.hello(session)["type"] == "welcome"
    line.frame(cell(**header))
    while b"execute_reply" not in line.receive()[1]:
        pass
    line.close()
    page = RawChannel(proxy, session)
    assert page.greet()["type"] == "welcome"
    page.shut_down()
