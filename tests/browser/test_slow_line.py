"""A line that is slower than zstd: what pays comes coded, and exact."""

import asyncio
import threading

import pytest
from relay import DOWN, UP, Fate, Relay

MIB = 2**20


@pytest.fixture
def slow_line():
    """Put a line of 13 MB/s before a proxy: `slow_line(url)` gives its address and a list of how
    many bytes came down."""
    loop, relays = asyncio.new_event_loop(), []
    thread = threading.Thread(target=loop.run_forever)

    def start(url):
        # 64 KiB each 5 ms.
        relay = Relay(loop, url, fate=lambda number: Fate(UP, 2**40, delay_s=0.005))
        counts = []

        def count(direction, passed, data):
            if direction == DOWN:
                counts.append(len(data))
            return data

        relay.alter = count
        relays.append(relay)
        thread.start()
        return relay.url, counts

    yield start
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    for relay in relays:
        relay.close()
    loop.close()


def test_slow_line(run_notebook, start_proxy, slow_line, port):
    proxy = start_proxy("--origin", f"http://127.0.0.1:{port}")
    url, counts = slow_line(proxy.url)
    cells = [
        "%%torch\na = torch.arange(3 * 2**20) // 1000",
        "import numpy as np\n(a == np.arange(3 * 2**20) // 1000).all()",
        "%%torch\nb = a * 7",
        "(b == a * 7).all()",
    ]
    options = ("--server", url, "--port", port)
    run = run_notebook(cells, *options, env={"JUPYTER_TORCH_TOKEN": proxy.token})
    run.ended(0)
    assert [run.cells[n].result["text/plain"] for n in (1, 3)] == ["np.True_"] * 2
    # The first eight come as they are, which tells the rate; of the other 40 little is left.
    assert 8 * MIB < sum(counts) < 13 * MIB
