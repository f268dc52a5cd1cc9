"""What a page is told of cells that it has not run, or not seen to their end."""

import json
import zlib

import pytest
from raw_channel import RawChannel


@pytest.fixture
def channel(proxy):
    opened = RawChannel(proxy)
    opened.greet()
    yield opened
    opened.shut_down()


def replayed(channel, cell, **content):
    reply, _, _ = channel.ask("replay_request", cell=cell, **content)
    return reply


def texts(events):
    return "".join(
        event["msg"]["content"]["text"]
        for event in events
        if event["msg"]["header"]["msg_type"] == "stream"
    )


def test_ping_is_answered_while_the_kernel_starts(proxy):
    channel = RawChannel(proxy)
    channel.send(type="ping")
    assert channel.receive()["type"] == "pong"
    assert channel.greet()["cells"] == []
    channel.send(type="ping")
    assert channel.wait(lambda frame: frame["type"] == "pong")
    channel.shut_down()


def test_cell_that_nobody_watched_is_replayed(proxy):
    first = RawChannel(proxy)
    first.greet()
    cell = first.cell(
        "import IPython.display as d\nprint('one')\nprint('go')\nd.display(d.HTML('<b>two</b>'))\n3"
    )
    first.printed(cell, "go")
    first.close()

    second = RawChannel(proxy, first.session)
    (known,) = second.greet()["cells"]
    assert known["id"] == cell and known["code"].startswith("import IPython") and not known["seen"]
    while second.ask("cells_request")[0]["cells"][0]["state"] != "ended":
        pass
    (known,) = second.ask("cells_request")[0]["cells"]
    assert known["status"] == "ok" and known["started"] < known["ended"]
    reply = replayed(second, cell)
    assert texts(reply["events"]) == "one\ngo\n"
    kinds = [event["msg"]["header"]["msg_type"] for event in reply["events"]]
    assert kinds[-2:] == ["display_data", "execute_result"]
    assert not reply["more"] and reply["lost"] == 0
    assert [event["channel"] for event in reply["events"]] == ["iopub"] * len(kinds)

    second.send(type="seen", cell=cell)
    assert second.ask("cells_request")[0]["cells"] == []
    unknown = replayed(second, cell)
    assert (unknown["reason"], unknown["evalue"]) == (
        "not-found",
        "This session knows no such cell any more.",
    )
    second.shut_down()


def test_replay_comes_in_pieces(channel):
    cell = channel.cell(
        "import sys\nfor i in range(100):\n    print(i, 'x' * 1000)\n    sys.stdout.flush()"
    )
    channel.reply(cell)
    after, pieces, said = 0, 0, ""
    while True:
        reply = replayed(channel, cell, after=after, bytes=10_000)
        said += texts(reply["events"])
        after, pieces = reply["seq"], pieces + 1
        if not reply["more"]:
            break
    assert said == "".join(f"{i} {'x' * 1000}\n" for i in range(100))
    assert 5 < pieces < 60


def test_binary_parts_of_a_replay(channel):
    cell = channel.cell(
        "from comm import create_comm\n"
        "c = create_comm(target_name='t', buffers=[b'abc'])\nc.send({'n': 1}, buffers=[b'', b'de'])"
    )
    channel.reply(cell)
    reply, _, parts = channel.ask("replay_request", cell=cell)
    kinds = [(e["msg"]["header"]["msg_type"], e["buffers"]) for e in reply["events"]]
    assert kinds == [("comm_open", 1), ("comm_msg", 2)]
    assert parts == [b"abc", b"", b"de"]


def test_only_an_open_question_is_replayed(channel):
    cell = channel.cell("a = input('first? ')\nb = input('second? ')", allow_stdin=True)
    question = channel.event(cell, "input_request")["msg"]
    asked = [e["msg"] for e in replayed(channel, cell)["events"] if e["channel"] == "stdin"]
    assert [message["content"]["prompt"] for message in asked] == ["first? "]
    channel.request("stdin", "input_reply", {"value": "1"}, parent=question["header"])
    question = channel.event(cell, "input_request")["msg"]
    asked = [e["msg"] for e in replayed(channel, cell)["events"] if e["channel"] == "stdin"]
    assert [message["content"]["prompt"] for message in asked] == ["second? "]
    channel.request("stdin", "input_reply", {"value": "2"}, parent=question["header"])
    assert channel.reply(cell)["msg"]["content"]["status"] == "ok"
    assert [e for e in replayed(channel, cell)["events"] if e["channel"] == "stdin"] == []


def test_unseen_cells_are_bounded(channel):
    cells = [channel.cell(f"{i}") for i in range(10)]
    for cell in cells:
        channel.reply(cell)
    kept = channel.ask("cells_request")[0]["cells"]
    assert [cell["id"] for cell in kept] == cells[2:]
    later = [channel.cell("0") for _ in range(20)]
    for cell in later:
        channel.reply(cell)
        channel.send(type="seen", cell=cell)
    assert channel.ask("cells_request")[0]["cells"] == []


def test_peek_beside_a_running_cell(channel, proxy):
    cell = channel.cell(
        "import threading, time\nx = torch.arange(6).reshape(2, 3)\nbig = torch.ones(2**20)\n"
        "end = threading.Event()\n"
        "def talk():\n"
        "    n = 0\n"
        "    while not end.wait(0.01):\n        n += 1; print('tick', n, flush=True)\n"
        "thread = threading.Thread(target=talk); thread.start()\n"
        "print('go')\nend.wait(60)\nthread.join()\nanswer = input('? ')\nanswer",
        allow_stdin=True,
        assigned=["answer"],
    )
    channel.printed(cell, "go")
    content, metadata, parts = channel.ask("peek_request", expression="x * 2", eager=1000, limit=0)
    assert content == {"status": "ok"}
    assert metadata["torch"]["value"] == {"tensor": "0"}
    (tensor,) = metadata["torch"]["tensors"]
    assert (tensor["shape"], tensor["dtype"], tensor["handle"]) == ([2, 3], "int64", None)
    assert parts[0].endswith(b"".join((2 * i).to_bytes(8, "little") for i in range(6)))

    _, metadata, parts = channel.ask("peek_request", expression="big", eager=1000, limit=0)
    (tensor,) = metadata["torch"]["tensors"]
    assert tensor["handle"] and not parts
    assert metadata["torch"].keys() == {"value", "tensors"}

    content, _, _ = channel.ask("peek_request", expression="nothing_there", eager=0, limit=0)
    assert content["reason"] == "agent" and "nothing_there" in content["evalue"]

    # What a thread prints goes on to belong to the cell, and so do `input` and the last value.
    channel.printed(cell, "tick")
    before = channel.ask("peek_request", expression="__import__('time').time()")
    channel.printed(cell, "tick")
    assert before[0]["status"] == "ok"
    channel.ask("peek_request", expression="end.set()")
    question = channel.event(cell, "input_request")["msg"]
    channel.request("stdin", "input_reply", {"value": "yes"}, parent=question["header"])
    reply = channel.reply(cell)
    torch = reply["msg"]["metadata"]["torch"]
    assert torch["values"] == {"answer": "yes"} and torch["result"] == "yes"
    status, body = fetch(proxy, channel, tensor["handle"])
    assert status == 200 and len(body) > 4 * 2**20
    channel.send(type="release", handles=[tensor["handle"]])
    channel.ask("cells_request")
    assert fetch(proxy, channel, tensor["handle"])[0] == 404


def test_peek_leaves_figures_to_their_cell(channel):
    cell = channel.cell(
        "%matplotlib inline\nimport threading, matplotlib.pyplot as plt\nend = threading.Event()\n"
        "plt.plot([1, 2])\nprint('go')\nend.wait(60)\nplt.title('whole')"
    )
    channel.printed(cell, "go")
    assert channel.ask("peek_request", expression="end.set()")[0]["status"] == "ok"
    assert "image/png" in channel.event(cell, "display_data")["msg"]["content"]["data"]
    channel.reply(cell)


def test_interrupt_of_one_cell(channel):
    running = channel.cell("import time\nprint('go')\ntime.sleep(60)")
    queued = channel.cell("ran = 1", assigned=["ran"])
    channel.printed(running, "go")
    assert channel.ask("interrupt_request", cell=queued)[0]["found"] == "queued"
    reply = channel.reply(queued)["msg"]
    assert reply["content"]["ename"] == "KeyboardInterrupt" and "torch" not in reply["metadata"]
    assert channel.event(queued, "status")["msg"]["content"]["execution_state"] == "idle"
    assert channel.ask("interrupt_request", cell="unknown")[0]["found"] == "ended"
    states = [cell["state"] for cell in channel.ask("cells_request")[0]["cells"]]
    assert states == ["running", "ended"]
    assert channel.ask("interrupt_request", cell=running)[0]["found"] == "running"
    assert channel.reply(running)["msg"]["content"]["ename"] == "KeyboardInterrupt"
    after = channel.cell("'ran' in globals()")
    torch = channel.reply(after)["msg"]["metadata"]["torch"]
    assert torch["result"] is False


def test_interrupt_meets_the_cell_however_early_it_is(channel):
    for _ in range(10):
        cell = channel.cell("import time\ntime.sleep(60)")
        channel.ask("interrupt_request", cell=cell)
        assert channel.reply(cell)["msg"]["content"]["ename"] == "KeyboardInterrupt"


#: The first signal has no effect, as one that comes right before a system call.
DEAF_AT_FIRST = """
import signal, time
heard = []
def _hear(*_):
    if heard:
        raise KeyboardInterrupt
    heard.append(1)
signal.signal(signal.SIGINT, _hear)
print("begun", flush=True)
for _ in range(600):
    time.sleep(0.1)
"""


def test_a_cell_that_misses_the_signal_as_it_begins_gets_another(channel):
    cell = channel.cell(DEAF_AT_FIRST)
    channel.event(cell, "stream")
    channel.ask("interrupt_request", cell=cell)
    assert channel.reply(cell)["msg"]["content"]["ename"] == "KeyboardInterrupt"


def test_plain_requests_pass_to_the_kernel(channel):
    cells = [channel.cell(f"print({i})", torch=False) for i in range(3)]
    for cell in cells:
        reply = channel.reply(cell)["msg"]
        assert reply["content"]["status"] == "ok" and "torch" not in reply["metadata"]
    assert [cell["status"] for cell in channel.ask("cells_request")[0]["cells"]] == ["ok"] * 3


@pytest.mark.parametrize(
    "frame", [{"type": "seen", "cell": "x" * 201}, {"type": "drop", "id": 7}, {"type": "seen"}]
)
def test_unbounded_names_are_refused(proxy, frame):
    channel = RawChannel(proxy)
    channel.greet()
    channel.send(**frame)
    assert channel.wait(lambda frame: frame["type"] == "refused")
    channel.close()


def test_dropped_upload_is_gone(channel):
    part = json.dumps({}).encode()
    checksum = zlib.crc32(part)
    channel.send(part, type="upload", id="upload-1", start=0, total=100, crc32=checksum)
    channel.wait(lambda frame: frame["type"] == "uploaded")
    channel.send(type="drop", id="upload-1")
    # Its memory is free for one of another size under the same name.
    channel.send(part, type="upload", id="upload-1", start=0, total=200, crc32=checksum)
    assert "message" not in channel.wait(lambda frame: frame["type"] == "uploaded")


def fetch(proxy, channel, handle):
    from native_transport import NativeTransport

    headers = {
        "Authorization": f"token {proxy.token}",
        "Torch-Session": channel.session,
        "Torch-Handle": handle,
    }
    status, _, body = NativeTransport(proxy.url)._request("GET", "tensors", headers)
    return status, body
