"""What a page asks of the kernel while a cell is written, over HTTP."""

import asyncio
import http.client
import json
import re

import pytest
from pages import ask

pytestmark = pytest.mark.one_kernel


class Writer:
    """Somebody who writes a cell of one session."""

    def __init__(self, proxy, session):
        self._proxy, self._session = proxy, session

    def post(self, path, body, session=None):
        """Return (status, content)."""
        status, _, content = ask(
            self._proxy,
            path,
            "POST",
            self._proxy.token,
            body=body.encode(),
            Torch_Session=session or self._session,
        )
        return status, json.loads(content or "null")

    def question(self, path, code, cursor_pos=None, **more):
        place = len(code) if cursor_pos is None else cursor_pos
        return self.post(path, json.dumps({"code": code, "cursor_pos": place, **more}))

    def answer(self, path, code, cursor_pos=None, **more):
        """As `question`, of a kernel that can answer, sooner or later."""
        while (answer := self.question(path, code, cursor_pos, **more))[0] == 504:
            pass
        return answer

    def completions(self, code, cursor_pos=None):
        status, content = self.answer("complete", code, cursor_pos)
        assert status == 200 and content["status"] == "ok", content
        return content

    def description(self, code, **more):
        status, content = self.answer("inspect", code, **more)
        assert status == 200 and content["status"] == "ok", content
        if not content["found"]:
            return None
        # Without its colours.
        return re.sub(r"\x1b\[[\d;]*m", "", content["data"]["text/plain"])


@pytest.fixture
def writer(proxy, notebook):
    return Writer(proxy, notebook.page.session)


async def printed(capfd, text):
    while text not in (said := capfd.readouterr().out):
        assert "Error" not in said
        await asyncio.sleep(0.05)


def test_attributes_of_a_module_and_of_a_tensor(notebook, writer):
    notebook.torch("weights = torch.zeros(3)")
    found = writer.completions("weights.requires_gr")
    assert {"requires_grad", "requires_grad_"} <= {name.lstrip(".") for name in found["matches"]}
    types = found["metadata"]["_jupyter_types_experimental"]
    assert [each["text"] for each in types] == found["matches"]
    assert any(match.endswith("arange") for match in writer.completions("torch.aran")["matches"])
    assert "weights" in writer.completions("weig")["matches"]
    assert not writer.completions("nothing_of_this_name.")["matches"]


def test_places_count_code_points(notebook, writer):
    notebook.torch("weights = torch.zeros(3)")
    code = "'𝜇𝜇'; weig + 1"
    found = writer.completions(code, code.index(" + 1"))
    assert "weights" in found["matches"]
    assert code[found["cursor_start"] : found["cursor_end"]] == "weig"


def test_what_a_name_stands_for(notebook, writer):
    notebook.torch("def half(x):\n    'Half of it.'\n    return x / 2")
    assert "Half of it." in writer.description("half(3)", cursor_pos=2)
    assert "return x / 2" in writer.description("half", detail_level=1)
    assert "return x / 2" not in writer.description("half", detail_level=0)
    assert writer.description("nothing_of_this_name") is None
    assert "Softmax" in writer.description("torch.nn.Softmax")


def test_while_a_cell_runs(notebook, writer, tmp_path, capfd):
    gate = tmp_path / "gate"
    job = notebook.torch(
        "import os, time\nprivate_name = 1\nprint('begun', flush=True)\n"
        f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n'done'",
        "--bg",
    )
    notebook.wait(printed(capfd, "begun"))
    assert "private_name" in writer.completions("private_na")["matches"]
    assert "int" in writer.description("private_name")
    gate.touch()
    assert notebook.wait(job) == "done"
    # The user's own last result is what it was.
    assert notebook.torch("_") == "done"


def test_an_unknown_session_gets_no_kernel(proxy, writer):
    body = json.dumps({"code": "x", "cursor_pos": 1})
    for path in ("complete", "inspect"):
        status, content = writer.post(path, body, session="of-nobody-at-all")
        assert status == 404 and content["reason"] == "not-found"
    assert b"of-nobody" not in ask(proxy, "sessions", token=proxy.token)[2]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "x",
        "[1]",
        "[" * 100_000,
        '{"code": "x"}',
        '{"code": 1, "cursor_pos": 0}',
        '{"code": "x", "cursor_pos": 2}',
        '{"code": "x", "cursor_pos": -1}',
        '{"code": "x", "cursor_pos": true}',
        '{"code": "\\ud835", "cursor_pos": 1}',
    ],
)
def test_what_is_no_question(writer, body):
    for path in ("complete", "inspect"):
        status, content = writer.post(path, body)
        assert status == 400 and content["reason"] == "bad-request"


def test_what_is_no_detail(writer):
    for level in (2, True, "1", None):
        assert writer.question("inspect", "x", detail_level=level)[0] == 400


def test_a_body_that_is_too_large(proxy, notebook, writer):
    notebook.torch("weights = 1")
    assert "weights" in writer.completions("#" * 200_000 + "\nweig")["matches"]
    line = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    line.putrequest("POST", "/kernel_proxy/api/v1/complete")
    line.putheader("Authorization", f"token {proxy.token}")
    line.putheader("Torch-Session", notebook.page.session)
    # None of it is sent, so whoever reads it does not answer.
    line.putheader("Content-Length", str(300_000))
    line.endheaders()
    assert line.getresponse().status == 400
    line.close()


def test_answers_are_bounded(notebook, writer):
    notebook.torch("for n in range(3000): globals()[f'many_{n}'] = n")
    assert len(writer.completions("many_")["matches"]) == 1000
    notebook.torch("for n in range(500): globals()[f'long_{n}_' + 'x' * 5000] = n")
    found = writer.completions("long_")
    assert 10 < len(found["matches"]) < 50 and len(json.dumps(found)) < 500_000
    notebook.torch("def verbose(): pass\nverbose.__doc__ = 'very ' * 10**6")
    assert 100_000 < len(writer.description("verbose")) <= 200_000


def test_a_kernel_that_can_not_answer(notebook, writer):
    async def meanwhile():
        held = "import ctypes\nprint('begun', flush=True)\nctypes.PyDLL(None).sleep(12)\nafter = 1"
        job = asyncio.ensure_future(notebook.notebook.run_cell("", held))
        while True:
            status, content = await asyncio.to_thread(writer.question, "complete", "tor")
            if status != 200:
                return job, status, content

    notebook.torch("1")
    job, status, content = notebook.wait(meanwhile())
    assert status == 504 and content["reason"] == "busy" and "lock" in content["message"]
    notebook.wait(job)
    assert "after" in writer.completions("afte")["matches"]


def test_a_session_whose_kernel_is_gone(notebook, writer):
    notebook.torch("weights = 1")
    with pytest.raises(BaseException, match="kernel"):
        notebook.torch("import os; os._exit(3)")
    status, content = writer.question("complete", "weig")
    # The next kernel may be there already, and knows nothing.
    assert (status, content.get("reason")) == (404, "not-found") or not content["matches"]
