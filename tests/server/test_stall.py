"""A proxy that stands still for seconds, as under a heavy load, while its kernel goes on printing."""

import signal

MESSAGES = 20_000
STALL_S = 4


def test_messages_of_a_stall_are_all_there(proxy, open_notebook, loop, on_print, capsys, tmp_path):
    notebook = open_notebook()
    ended = tmp_path / "ended"

    def stop():
        assert not ended.exists()
        proxy.process.send_signal(signal.SIGSTOP)
        loop.call_later(STALL_S, go_on)

    def go_on():
        # Nothing held the kernel up: all of it was said in the stall.
        if ended.exists():
            proxy.process.send_signal(signal.SIGCONT)
        else:
            loop.call_later(0.1, go_on)

    on_print("message 5;", stop)
    try:
        # Each is a message of its own; the kernel would join what is printed.
        notebook.torch(
            f"for i in range({MESSAGES}):\n"
            "    display({'text/plain': f'message {i};'}, raw=True)\n"
            f"open({str(ended)!r}, 'w').close()"
        )
    finally:
        proxy.process.send_signal(signal.SIGCONT)
    assert capsys.readouterr().out.splitlines() == [f"message {i};" for i in range(MESSAGES)]
