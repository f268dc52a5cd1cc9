"""A page and a proxy of different releases."""

import pytest
from native_notebook import NativeNotebook
from raw_channel import RawChannel

from jupyterlite_torch._channel import PROTOCOL
from jupyterlite_torch._errors import ConnectError

#: Makes the proxy's process one of another protocol.
OTHER = "import kernel_proxy.settings as settings\nsettings.PROTOCOL = {protocol}\n"


@pytest.mark.parametrize(
    ("protocol", "advice"),
    [(PROTOCOL + 1, "update the page's site"), (PROTOCOL - 1, "update the server, with `pip")],
)
def test_the_page_says_that_the_server_is_of_another_release(
    start_proxy, protocol, advice, tmp_path, loop
):
    (tmp_path / "sitecustomize.py").write_text(OTHER.format(protocol=protocol))
    proxy = start_proxy(env={"PYTHONPATH": str(tmp_path)})
    with pytest.raises(ConnectError, match=f"speaks protocol {protocol} and this page") as caught:
        NativeNotebook(proxy, loop)
    assert advice in str(caught.value) and caught.value.reason == "protocol"


@pytest.mark.parametrize(
    ("protocol", "advice"),
    [
        (PROTOCOL + 1, "update the server, with `pip"),
        (PROTOCOL - 1, "update the page's site"),
        (None, "update the page's site"),
        ("x" * 1000, "update the page's site"),
    ],
)
def test_the_server_says_that_the_page_is_of_another_release(proxy, protocol, advice):
    channel = RawChannel(proxy, protocol=protocol)
    refusal = channel.greet()
    channel.close()
    assert (refusal["type"], refusal["reason"]) == ("refused", "protocol")
    assert "this server (jupyterlite-torch" in refusal["message"] and advice in refusal["message"]
    assert len(refusal["message"]) < 300


def test_what_a_later_release_adds_is_passed_over(proxy):
    channel = RawChannel(proxy, later={"than": "this"})
    assert channel.greet()["type"] == "welcome"
    cell = channel.cell("1 + 1", later=[1, 2])
    assert channel.reply(cell)["msg"]["metadata"]["torch"]["result"] == 2
    channel.shut_down()
