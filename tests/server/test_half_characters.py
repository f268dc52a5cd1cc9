"""Text that is no Unicode, which a str can be: of it kernels lose what they say (ipykernel 7.4)."""

import pytest
from raw_channel import RawChannel

from jupyterlite_torch._errors import RemoteError

LOSES_ITS_REPLY = """\
x = 1
get_ipython().payload_manager.write_payload({'source': 'page', 'text': chr(0xD800)})
"""


def test_values_come_back_as_they_are(notebook):
    notebook.torch("high, low, byte = chr(0xD800), 'a' + chr(0xDFFF), chr(0xDC80)\nn = 1")
    names = [notebook.names[name] for name in ("high", "low", "byte", "n")]
    assert names == ["\ud800", "a\udfff", "\udc80", 1]
    notebook.torch("same = high == chr(0xD800), byte == chr(0xDC80)")
    assert notebook.names["same"] == (True, True)


def test_a_name_of_a_file_that_is_no_unicode_is_printed(proxy):
    page = RawChannel(proxy)
    page.greet()
    cell = page.cell(r"import os; print(os.fsdecode(b'caf\xe9'))")
    assert page.printed(cell, "\n") == "caf\udce9\n"
    assert page.reply(cell)["msg"]["content"]["status"] == "ok"
    page.shut_down()


def test_a_cell_whose_reply_is_lost_ends(notebook):
    with pytest.raises(RemoteError, match="has ended, and the remote kernel could not say how"):
        notebook.torch(LOSES_ITS_REPLY)
    assert notebook.names["x"] == 1
    assert notebook.torch("x + 1") == 2


def test_what_torch_says_of_a_layout_that_is_no_unicode_is_told(proxy):
    page = RawChannel(proxy)
    page.greet()
    metadata = {"torch": {"push": {"values": {"x": {"sparse": ["\ud800", [1], 1]}}}, "pull": None}}
    content = {"code": "1 + 1", "silent": False}
    cell = page.request("shell", "execute_request", content, metadata=metadata)
    assert "\ud800" in page.reply(cell)["msg"]["content"]["evalue"]
    assert page.reply(page.cell("1 + 1"))["msg"]["metadata"]["torch"]["result"] == 2
    page.shut_down()


@pytest.mark.parametrize(
    ("push", "pull"),
    [
        ({"dtype": "\ud800"}, {}),
        ({"device": {"x": "\ud800"}}, {}),
        ({"values": {"\ud800": 1}}, {}),
        ({}, {"assigned": ["\ud800"]}),
        ({}, {"expressions": {"y": "'\ud800'"}}),
    ],
)
def test_what_goes_with_a_cell_is_refused(proxy, push, pull):
    page = RawChannel(proxy)
    page.greet()
    content = {"code": "1 + 1", "silent": False}
    metadata = {"torch": {"push": {"values": {"x": 1}} | push, "pull": pull}}
    cell = page.request("shell", "execute_request", content, metadata=metadata)
    assert "half of a character" in page.reply(cell)["msg"]["content"]["evalue"]
    assert page.reply(page.cell("1 + 1"))["msg"]["metadata"]["torch"]["result"] == 2
    page.shut_down()
