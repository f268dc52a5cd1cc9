"""A page looks into a session and steers it by HTTP, while its cell runs and its own kernel is busy."""

import json
import os
import time

import pytest
from pages import ask
from raw_channel import RawChannel

from jupyterlite_torch._errors import ConnectError
from kernel_proxy.web.control import MAX_NAME, PREVIEW_CHARACTERS

#: Every route, with a body that it takes.
ROUTES = [
    ("GET", "variables", None),
    ("DELETE", "variables", {"names": ["x"]}),
    ("POST", "preview", {"name": "x"}),
    ("POST", "interrupt", None),
    ("POST", "restart", None),
    ("POST", "rename", {"name": "a name"}),
]


class Control:
    """Asks about one session of a proxy."""

    def __init__(self, proxy, session):
        self.proxy, self.session = proxy, session

    def ask(self, method, path, content=None):
        """Return the status, and the content of the reply if it has any."""
        body = None if content is None else json.dumps(content).encode()
        status, _, reply = ask(
            self.proxy, path, method, self.proxy.token, body=body, Torch_Session=self.session
        )
        return status, json.loads(reply) if reply else None

    def variables(self):
        status, content = self.ask("GET", "variables")
        assert status == 200, content
        return {facts["name"]: facts for facts in content["variables"]}

    def preview(self, name):
        return self.ask("POST", "preview", {"name": name})

    def listed(self):
        _, _, reply = ask(self.proxy, "sessions", token=self.proxy.token)
        found = [each for each in json.loads(reply)["sessions"] if each["id"] == self.session]
        return found[0] if found else None


@pytest.fixture
def control(notebook, proxy):
    return Control(proxy, notebook.page.session)


@pytest.fixture
def busy(proxy):
    """A session in which a cell runs without an end, after what a test has defined: `busy(code)`."""
    channels = []

    def begin(code, body="import time\nwhile True: time.sleep(0.05)"):
        page = RawChannel(proxy)
        channels.append(page)
        assert page.greet()["type"] == "welcome"
        cell = page.cell(f"{code}\nprint('begun', flush=True)\n{body}")
        page.printed(cell, "begun")
        return page, cell, Control(proxy, page.session)

    yield begin
    for page in channels:
        ask(proxy, "sessions", "DELETE", proxy.token, Torch_Session=page.session)
        page.close()


@pytest.mark.parametrize(("method", "path", "content"), ROUTES)
def test_no_route_begins_a_session(proxy, method, path, content):
    control = Control(proxy, "nobody-knows-this")
    status, reply = control.ask(method, path, content)
    assert (status, reply["reason"]) == (404, "not-found")
    assert control.listed() is None
    body = None if content is None else json.dumps(content).encode()
    status, _, reply = ask(proxy, path, method, proxy.token, body=body)
    assert status == 400 and "Torch-Session is missing" in json.loads(reply)["message"]


def test_facts_of_variables(notebook, control):
    notebook.torch(
        "import math, numpy\n"
        "w = torch.zeros(300, 200, dtype=torch.float16, requires_grad=True)\n"
        "a = numpy.ones((3, 4)); n = 5; text = 'x' * 1000; empty = torch.zeros(0)\n"
        "model = torch.nn.Linear(10, 10); several = [torch.zeros(100), torch.zeros(28)]\n"
        "same = [several[0]] * 9; sparse = torch.eye(3).to_sparse(); meta = torch.zeros(9, device='meta')\n"
        "class Odd:\n"
        "    __class__ = property(lambda self: 1 / 0)\n"
        "    def __sizeof__(self): raise ValueError\n"
        "odd = Odd(); _hidden = 1\n"
        "state = model.state_dict(); saved = {'epoch': 1, 'models': [state, {'again': state}]}\n"
        "saved['self'] = saved; numbers = list(range(5000)) + several\n"
        "def f(): pass\n"
        "6 * 7",
        "--no-auto",
    )
    found = control.variables()
    names = "w a n text empty model several same sparse meta Odd odd state saved numbers"
    assert set(found) == set(names.split())
    assert found["w"] == {
        "name": "w", "type": "Tensor", "shape": [300, 200], "dtype": "float16", "device": "cpu",
        "requires_grad": True, "bytes": 120_000,
    }  # fmt: skip
    assert found["a"]["shape"] == [3, 4] and found["a"]["dtype"] == "float64"
    assert found["a"]["bytes"] == 96
    assert found["model"]["type"] == "Linear" and found["model"]["bytes"] == 440
    assert found["several"]["bytes"] == 512 and found["several"]["shape"] == [2]
    assert found["same"]["bytes"] == 400
    assert found["state"]["bytes"] == found["saved"]["bytes"] == 440
    assert found["state"]["shape"] == [2] and found["state"]["type"] == "OrderedDict"
    # Its tensors are too far behind.
    assert found["numbers"]["shape"] == [5002] and found["numbers"]["bytes"] is None
    assert found["sparse"]["bytes"] > 0 and found["meta"]["device"] == "meta"
    assert found["odd"] == {"name": "odd", "type": "Odd", "bytes": None}
    sizes = [facts["bytes"] or 0 for facts in found.values()]
    assert sizes == sorted(sizes, reverse=True)


def test_everything_works_while_a_cell_runs(busy):
    page, cell, control = busy("x = torch.arange(1e6); y = 5")
    assert control.variables()["x"]["bytes"] == 4_000_000
    status, shown = control.preview("x")
    assert status == 200 and shown["text"].startswith("tensor([0.0000e+00")
    assert control.ask("DELETE", "variables", {"names": ["y", "z"]}) == (200, {"deleted": ["y"]})
    assert "y" not in control.variables()
    listed = control.listed()
    assert listed["execution_state"] == listed["state"] == "busy"
    assert listed["cell_s"] > 0 and listed["listeners"] == 1 and listed["kernel"]
    assert control.listed()["seq"] == listed["seq"], "to be looked at is no event"
    assert control.ask("POST", "interrupt") == (204, None)
    assert page.reply(cell)["msg"]["content"]["ename"] == "KeyboardInterrupt"
    assert control.variables()["x"]["shape"] == [1_000_000]
    assert control.listed()["seq"] > listed["seq"]


def test_restart_while_a_cell_runs(busy):
    page, cell, control = busy("x = 1")
    generation = control.listed()["generation"]
    assert control.ask("POST", "restart") == (200, {"generation": generation + 1})
    assert page.reply(cell)["msg"]["content"]["ename"] == "KernelRestarted"
    page.wait(
        lambda frame: (
            frame["type"] == "event" and frame["msg"]["header"]["msg_type"] == "kernel_died"
        )
    )
    assert control.variables() == {}


def test_a_kernel_that_lets_nothing_else_run_is_an_error(busy, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    # One call of compiled code, which keeps Python's lock, once what was printed is on its way.
    body = f"import re\nopen({str(gate)!r}).close()\nre.match('(a+)+b', 'a' * 200)"
    _, _, control = busy("x = 1", body)
    gate.open("w").close()
    status = 200
    while status == 200:
        # The first may come before that call.
        began = time.monotonic()
        status, reply = control.ask("GET", "variables")
    assert (status, reply["reason"]) == (503, "busy"), reply
    assert time.monotonic() - began < 20
    assert control.ask("POST", "restart")[0] == 200


def test_ten_thousand_variables(notebook, control):
    notebook.torch("for i in range(10_000): globals()[f'v{i}'] = torch.zeros(i)", "--no-auto")
    began = time.monotonic()
    found = control.variables()
    seconds = time.monotonic() - began
    # 0.2 s on two processors.
    assert seconds < 3
    assert len(found) == 10_001
    assert next(iter(found)) == "v9999"


def test_more_variables_than_are_listed(notebook, control):
    notebook.torch("globals().update({f'v{i}': i for i in range(30_000)}); big = torch.zeros(99)")
    _, content = control.ask("GET", "variables")
    assert content["count"] == 30_001 and len(content["variables"]) == 20_000
    assert content["variables"][0]["name"] == "big"


def test_previews_are_bounded(notebook, control):
    notebook.torch(
        "class Slow:\n"
        "    def __repr__(self):\n"
        "        while True: pass\n"
        "class Broken:\n"
        "    def __repr__(self): raise ValueError('secret')\n"
        "class Long:\n"
        "    def __repr__(self): return 'x' * 10**7\n"
        "from collections import Counter\n"
        "slow, broken, long = Slow(), Broken(), Long()\n"
        "numbers = list(range(10**6)); data = bytes(10**7); many = Counter(range(10**6))\n"
        "nested = []; nested.append(nested); grad = torch.ones(3, requires_grad=True); t = 'a\\n\\x1b'"
    )
    for name in ("long", "numbers", "data", "many", "nested", "grad", "t"):
        status, shown = control.preview(name)
        assert status == 200 and len(shown["text"]) <= PREVIEW_CHARACTERS, name
        assert shown["truncated"] == (name in ("long", "data")), name
    assert shown["text"] == r"'a\n\x1b'"
    assert control.preview("grad")[1]["text"] == "tensor([1., 1., 1.], requires_grad=True)"
    assert "secret" not in control.preview("broken")[1]["text"]
    began = time.monotonic()
    status, reply = control.preview("slow")
    assert status == 400 and "takes longer than 2 seconds" in reply["message"]
    assert time.monotonic() - began < 8
    # It was ended, and what comes next is not in its way.
    assert control.preview("grad")[0] == 200
    assert notebook.torch("6 * 7") == 42
    status, reply = control.preview("nothing")
    assert status == 400 and "no `nothing`" in reply["message"]


def test_the_page_learns_of_a_deletion_with_its_next_cell(notebook, control):
    notebook.torch("x = torch.ones(3); y = 5; z = 6")
    assert control.ask("DELETE", "variables", {"names": ["x", "y"]})[1] == {"deleted": ["x", "y"]}
    notebook.torch("1")
    assert "x" not in notebook.names and "y" not in notebook.names
    assert notebook.names["z"] == 6


def test_a_page_goes_on_after_its_session_was_shut_down(notebook, control):
    notebook.torch("x = 1", "--no-auto")
    assert control.ask("DELETE", "sessions") == (204, None)
    assert control.listed() is None
    with pytest.raises(ConnectError, match="was shut down from a page; its variables are gone"):
        notebook.torch("1")
    assert notebook.torch("6 * 7") == 42
    assert control.variables() == {}


@pytest.mark.parametrize(
    "content",
    [None, [], {}, {"names": "x"}, {"names": [1]}, {"names": ["a.b"]}, {"names": ["x" * 999]}],
)
def test_bodies_that_are_no_names(notebook, control, content):
    status, reply = control.ask("DELETE", "variables", content)
    assert (status, reply["reason"]) == (400, "bad-request")
    for name in (None, 5, "", "a b", "__import__('os')", "x" * 999):
        assert control.ask("POST", "preview", {"name": name})[0] == 400


def test_own_names_can_not_be_deleted(notebook, control):
    names = ["torch", "device", "get_ipython", "In", "_"]
    assert control.ask("DELETE", "variables", {"names": names})[1] == {"deleted": []}
    assert notebook.torch("torch.ones(2, device=device)").tolist() == [1, 1]


def test_a_body_that_is_too_large(notebook, control):
    with pytest.raises((ConnectionError, OSError)):
        status, _ = control.ask("POST", "rename", {"name": "x" * 100_000})
        raise ConnectionError if status == 400 else AssertionError(status)


def test_a_name_outlives_the_proxy(start_proxy, tmp_path):
    proxy = start_proxy("--state", str(tmp_path / "state"))
    page = RawChannel(proxy)
    page.greet()
    page.reply(page.cell("x = 5"))
    control = Control(proxy, page.session)
    assert control.listed()["name"] == ""
    assert control.ask("POST", "rename", {"name": " Überblick 3 "}) == (204, None)
    for name in ("x" * (MAX_NAME + 1), "two\nlines", "\x1b[31m", 5, None):
        status, reply = control.ask("POST", "rename", {"name": name})
        assert status == 400 and "printable characters" in reply["message"], name
    assert control.listed()["name"] == "Überblick 3"
    page.close()
    proxy.stop()
    proxy.start()
    assert control.listed()["name"] == "Überblick 3"
    # Waits until the kernel is taken over, before which nobody can look into it.
    assert control.ask("POST", "rename", {"name": ""}) == (204, None)
    assert control.listed()["name"] == ""
    assert control.variables()["x"]["type"] == "int"
