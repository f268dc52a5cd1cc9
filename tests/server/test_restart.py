"""Kernels outlive the proxy: what a page finds when the proxy is there again."""

import json
import os

import psutil
import pytest
from native_notebook import NativeNotebook
from pages import pair
from processes import gone, wait_until
from proxy import Proxy
from raw_channel import RawChannel

ENDS = ["stop", "kill"]


@pytest.fixture
def proxy(tmp_path):
    started = Proxy("--state", str(tmp_path / "state"))
    yield started
    # Ctrl-C: kernels that are left to themselves would stay.
    if started.process.poll() is not None:
        started.start()
    started.interrupt()


@pytest.fixture
def signals(tmp_path):
    """Code for a cell that waits for a file, and a function that makes it."""
    path = tmp_path / "go-on"
    wait = f"import os, time\nwhile not os.path.exists({str(path)!r}):\n    time.sleep(0.01)\n"
    return wait, path.touch


def pid_of(channel):
    cell = channel.cell("import os\nos.getpid()")
    pid = channel.reply(cell)["msg"]["metadata"]["torch"]["result"]
    wait_until_idle(channel, cell)
    return pid


def wait_until_idle(channel, cell):
    """Wait for the last event of a cell."""
    while channel.event(cell, "status")["msg"]["content"]["execution_state"] != "idle":
        pass


def last_seq(channel):
    """Return the log and the last event that a channel has."""
    return channel.log, channel.seq


@pytest.mark.parametrize("end", ENDS)
def test_a_cell_goes_on_while_the_proxy_restarts(proxy, signals, end):
    wait, go_on = signals
    page = RawChannel(proxy)
    page.greet()
    before = pid_of(page)
    body = f"print('before')\n{wait}print('after')\ny = torch.ones(2)\nraise ValueError('x')"
    cell = page.cell(body, assigned=["y"])
    page.printed(cell, "before")
    getattr(proxy, end)()
    page.close()
    assert psutil.pid_exists(before)

    proxy.start()
    again = RawChannel(proxy, page.session, *last_seq(page))
    welcome = again.greet()
    assert (welcome["log"], welcome["new"], welcome["lost"]) == (page.log, False, 0)
    assert welcome["session"]["generation"] == 1 and welcome["session"]["torch"]
    (known,) = [known for known in welcome["cells"] if known["id"] == cell]
    assert known["state"] == "running" and known["started"]
    gap = again.event(cell, "gap")["msg"]["content"]
    assert gap["since"] < gap["until"]
    # Sent again, as a page does with what has no reply: it is not run again.
    again.cell(body, identifier=cell, assigned=["y"])
    go_on()
    again.printed(cell, "after")
    reply = again.reply(cell)["msg"]
    assert reply["content"]["ename"] == "ValueError"
    assert reply["metadata"]["torch"]["values"] == {"y": {"tensor": "0"}}
    assert again.event(cell, "status")["msg"]["content"]["execution_state"] == "idle"
    assert pid_of(again) == before
    assert again.ask("cells_request")[0]["execution_state"] == "idle"
    replayed = again.ask("replay_request", cell=cell)[0]["events"]
    said = [event["msg"]["content"].get("text") for event in replayed]
    assert said == ["before\n", None, "after\n", None]
    again.close()


@pytest.mark.parametrize("end", ENDS)
def test_a_notebook_goes_on_by_itself(proxy, loop, signals, on_print, capsys, end):
    wait, go_on = signals
    notebook = NativeNotebook(proxy, loop)
    notebook.torch("x = 1")

    def restart():
        getattr(proxy, end)()
        proxy.start()
        other = RawChannel(proxy, notebook.page.session)
        other.greet()
        other.close()
        go_on()

    on_print("before", restart)
    notebook.torch(f"print('before')\n{wait}print('after')\nx += 1")
    assert notebook.names["x"] == 2
    assert capsys.readouterr().out == "before\nafter\n"
    notebook.torch("x += 1")
    assert notebook.names["x"] == 3
    notebook.close()


@pytest.mark.parametrize("end", ENDS)
def test_a_cell_that_ended_meanwhile(proxy, signals, tmp_path, end):
    wait, go_on = signals
    page = RawChannel(proxy)
    page.greet()
    done = tmp_path / "done"
    cell = page.cell(
        f"print('before')\n{wait}x = 5\nimport pathlib\npathlib.Path({str(done)!r}).touch()",
        assigned=["x"],
    )
    plain = page.cell("y = 1", torch=False)
    page.printed(cell, "before")
    getattr(proxy, end)()
    page.close()
    go_on()
    wait_until(done.exists)

    proxy.start()
    again = RawChannel(proxy, page.session, *last_seq(page))
    again.greet()
    reply = again.reply(cell)["msg"]
    assert reply["content"]["ename"] == "ProxyRestarted"
    assert "The server was restarted while this cell ran" in reply["content"]["evalue"]
    assert reply["metadata"]["torch"]["values"] == {"x": 5}
    assert again.event(cell, "status")["msg"]["content"]["execution_state"] == "idle"
    assert again.reply(plain)["msg"]["content"]["status"] in ("ok", "error")
    statuses = {known["id"]: known["status"] for known in again.ask("cells_request")[0]["cells"]}
    assert statuses[cell] == "unknown"
    again.close()


@pytest.mark.parametrize("end", ENDS)
def test_a_kernel_that_died_meanwhile(proxy, signals, end):
    wait, _ = signals
    page = RawChannel(proxy)
    page.greet()
    kernel = psutil.Process(pid_of(page))
    cell = page.cell(f"print('before')\n{wait}")
    page.printed(cell, "before")
    getattr(proxy, end)()
    page.close()
    kernel.kill()
    wait_until(lambda: gone(kernel))

    proxy.start()
    again = RawChannel(proxy, page.session, *last_seq(page))
    assert again.greet()["session"]["generation"] == 2
    reply = again.reply(cell)["msg"]
    assert reply["content"]["ename"] == "KernelDied"
    assert "while the server was away" in reply["content"]["evalue"]
    assert pid_of(again) != kernel.pid
    again.close()


def test_a_reused_process_number_is_not_the_kernel(proxy, tmp_path):
    page = RawChannel(proxy)
    page.greet()
    kernel = psutil.Process(pid_of(page))
    proxy.kill()
    page.close()
    kernel.kill()
    wait_until(lambda: gone(kernel))
    (file,) = (tmp_path / "state" / "sessions").glob("*/session.json")
    record = json.loads(file.read_text())
    record["kernel"]["process"]["pid"] = os.getpid()
    file.write_text(json.dumps(record))
    proxy.start()
    again = RawChannel(proxy, page.session)
    assert again.greet()["session"]["generation"] == 2
    again.close()


def test_a_cell_that_was_not_sent_runs_once(proxy, signals):
    wait, go_on = signals
    page = RawChannel(proxy)
    page.greet()
    first = page.cell(f"print('before')\nn = 0\n{wait}")
    page.printed(first, "before")
    second = page.cell("n += 1\nprint('n is', n)")
    page.ask("cells_request")
    proxy.kill()
    page.close()

    proxy.start()
    again = RawChannel(proxy, page.session, *last_seq(page))
    assert [cell["id"] for cell in again.greet()["cells"]] == [first]
    again.cell("n += 1\nprint('n is', n)", identifier=second)
    go_on()
    assert again.reply(first)["msg"]["content"]["status"] == "ok"
    assert again.printed(second, "\n") == "n is 1\n"
    assert again.reply(second)["msg"]["content"]["status"] == "ok"
    # Now that it has run, it is known for good.
    proxy.kill()
    again.close()
    proxy.start()
    last = RawChannel(proxy, page.session, *last_seq(page))
    last.greet()
    last.cell("n += 1", identifier=second)
    cell = last.cell("n")
    assert last.reply(cell)["msg"]["metadata"]["torch"]["result"] == 1
    last.close()


def test_a_question_can_be_answered_to_the_next_proxy(proxy):
    page = RawChannel(proxy)
    page.greet()
    cell = page.cell("name = input('who? ')\nname", allow_stdin=True)
    page.event(cell, "input_request")
    proxy.kill()
    page.close()
    proxy.start()
    again = RawChannel(proxy, page.session)
    again.greet()
    replayed = again.ask("replay_request", cell=cell)[0]["events"]
    (question,) = [event for event in replayed if event["channel"] == "stdin"]
    assert question["msg"]["content"]["prompt"] == "who? "
    again.request("stdin", "input_reply", {"value": "me"}, parent=question["msg"]["header"])
    assert again.reply(cell)["msg"]["metadata"]["torch"]["result"] == "me"
    again.close()


def test_interrupt_and_peek_reach_a_kernel_that_was_found_again(proxy):
    page = RawChannel(proxy)
    page.greet()
    cell = page.cell("import time\nx = 3\nprint('before')\ntime.sleep(600)")
    page.printed(cell, "before")
    proxy.kill()
    page.close()
    proxy.start()
    again = RawChannel(proxy, page.session)
    again.greet()
    _, metadata, _ = again.ask("peek_request", expression="x")
    assert metadata["torch"]["value"] == 3
    again.ask("interrupt_request", cell=cell)
    assert again.reply(cell)["msg"]["content"]["ename"] == "KeyboardInterrupt"
    again.close()


def test_restart_of_a_kernel_that_was_found_again(proxy):
    page = RawChannel(proxy)
    page.greet()
    cell = page.cell("import time\nprint('before')\ntime.sleep(600)")
    page.printed(cell, "before")
    proxy.kill()
    page.close()
    proxy.start()
    again = RawChannel(proxy, page.session)
    again.greet()
    reply = again.ask("shutdown_request", restart=True)[0]
    assert reply["generation"] == 2
    assert again.reply(cell)["msg"]["content"]["ename"] == "KernelRestarted"
    again.close()


@pytest.mark.parametrize("ended_before", [None, *ENDS])
def test_ctrl_c_ends_the_kernels(proxy, tmp_path, ended_before):
    page = RawChannel(proxy)
    page.greet()
    kernel = psutil.Process(pid_of(page))
    if ended_before:
        getattr(proxy, ended_before)()
        proxy.start()
    proxy.interrupt()
    page.close()
    wait_until(lambda: gone(kernel))
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("end", [*ENDS, "interrupt"])
def test_without_state_kernels_end_with_the_proxy(start_proxy, end):
    proxy = start_proxy()
    page = RawChannel(proxy)
    page.greet()
    kernel = psutil.Process(pid_of(page))
    getattr(proxy, end)()
    page.close()
    wait_until(lambda: gone(kernel))


def test_a_second_proxy_on_the_same_state_refuses(proxy, start_proxy, capfd):
    with pytest.raises(AssertionError, match="ended with 1"):
        start_proxy(*proxy.arguments)
    assert "another proxy is using" in capfd.readouterr().err


def test_the_state_is_for_its_owner_alone(proxy, tmp_path):
    page = RawChannel(proxy)
    page.greet()
    pid_of(page)
    entries = [tmp_path / "state", *(tmp_path / "state").rglob("*")]
    modes = {oct(entry.stat().st_mode & 0o777) for entry in entries}
    assert modes == {"0o700", "0o600"}
    page.shut_down()
    assert list((tmp_path / "state" / "sessions").iterdir()) == []


def test_tokens_are_known_again(start_proxy, tmp_path):
    proxy = start_proxy("--state", str(tmp_path / "state"), "--site", "http://page.example")

    paired = pair(proxy, proxy.code)
    proxy.kill()
    assert paired not in (tmp_path / "state" / "tokens.json").read_text()
    # The token that the user chose is another one now, and the old one is none any more.
    chosen, proxy.token = proxy.token, "another-token-of-the-user"
    proxy.start()
    for token, answer in ((paired, "welcome"), (proxy.token, "welcome"), (chosen, "refused")):
        page = RawChannel(proxy, token=token)
        assert page.greet()["type"] == answer
        page.close()


def test_the_disk_quota_says_how_many_are_lost(start_proxy, tmp_path):
    proxy = start_proxy("--state", str(tmp_path / "state"), "--event-log", "1")
    page = RawChannel(proxy)
    page.greet()
    page.close()
    other = RawChannel(proxy, page.session)
    other.greet()
    cell = other.cell(
        "import sys\nfor i in range(3000):\n    print('x' * 1000); sys.stdout.flush()"
    )
    other.reply(cell)
    # Every event gives up the oldest one, also between the welcome and what comes after it.
    wait_until_idle(other, cell)
    again = RawChannel(proxy, page.session, *last_seq(page))
    lost = again.greet()["lost"]
    assert 1000 < lost < 3000
    first = again.wait(lambda frame: frame["type"] == "event")
    assert first["seq"] == lost + page.seq + 1
    reply = again.ask("replay_request", cell=cell)[0]
    assert reply["lost"] > 1000 and reply["events"]
    again.close()
    other.close()


def test_a_kernel_that_can_not_start_says_its_last_words(start_proxy, tmp_path, monkeypatch):
    spec = tmp_path / "kernels" / "broken"
    spec.mkdir(parents=True)
    argv = ["sh", "-c", "echo no license for this machine >&2; exit 3", "{connection_file}"]
    (spec / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "broken", "language": "python"})
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    proxy = start_proxy("--kernel", "broken")
    page = RawChannel(proxy)
    refused = page.greet()
    assert refused["reason"] == "kernel-start"
    assert "exit code 3" in refused["message"]
    assert "no license for this machine" in refused["message"]
    page.close()


def test_a_kernel_starts_where_paths_for_temporary_files_are_too_long_for_sockets(
    start_proxy, tmp_path
):
    long = tmp_path / ("long" * 20)
    long.mkdir()
    page = RawChannel(start_proxy(env={"TMPDIR": str(long)}))
    page.greet()
    pid_of(page)
    page.shut_down()
