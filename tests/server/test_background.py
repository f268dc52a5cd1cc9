"""Cells in the background, and what can be done while they run."""

import asyncio

import numpy as np
import pytest

from jupyterlite_torch._errors import OptionError, TransferError

WAITS_FOR_FILE = """\
import os, time
steps = 0
w = torch.arange(4.0)
print('begun', flush=True)
while not os.path.exists({path!r}):
    steps += 1
    w += 1
    time.sleep(0.01)
print('ended')
"""


@pytest.fixture
def gate(tmp_path):
    """A file for which a cell waits: (the cell's code, a function that lets it end)."""
    path = tmp_path / "gate"
    return WAITS_FOR_FILE.format(path=str(path)), path.touch


async def printed(capfd, text):
    while text not in (said := capfd.readouterr().out):
        assert "Error" not in said
        await asyncio.sleep(0.05)


def test_a_job_runs_while_cells_do(notebook, open_notebook, gate, capfd):
    code, end = gate
    job = notebook.torch(code + "w.sum().item()", "--bg train")
    assert notebook.names["train"] is job and not job.done() and "running" in repr(job)
    notebook.wait(printed(capfd, "begun"))
    other = open_notebook()
    assert other.torch("6 * 7") == 42
    notebook.local("here = 1")
    assert "w" not in notebook.names
    end()
    total = notebook.wait(job)
    notebook.wait(printed(capfd, "ended"))
    assert job.done() and "done" in repr(job)
    assert total == notebook.names["w"].sum() == 6 + 4 * notebook.names["steps"]
    # It is as any cell from then on.
    assert notebook.torch("steps") == notebook.names["steps"]


def test_a_cell_behind_a_job_waits_for_its_values(notebook, gate):
    code, end = gate
    notebook.names["w"] = np.zeros(1)
    job = notebook.torch(code, "--bg")
    assert notebook.names["job"] is job

    async def both():
        behind = asyncio.ensure_future(notebook.notebook.run_cell("", "seen = w.clone()"))
        await asyncio.sleep(0)
        end()
        await asyncio.gather(job, behind)

    notebook.wait(both())
    assert len(notebook.names["seen"]) == 4
    assert np.array_equal(notebook.names["seen"], notebook.names["w"])


def test_errors_of_a_job(notebook, capfd):
    job = notebook.torch("kept = 1\n1 / 0", "--bg")
    with pytest.raises(ZeroDivisionError):
        notebook.wait(job)
    assert "ZeroDivisionError" in repr(job) and notebook.names["kept"] == 1
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_stop_of_a_job(notebook, gate, capsys):
    code, _ = gate
    job = notebook.torch(code, "--bg")
    notebook.line("jobs")
    assert "<job job: running" in capsys.readouterr().out
    notebook.wait(_peek_until(notebook, "steps", lambda steps: steps > 0))
    notebook.line("stop job")
    with pytest.raises(KeyboardInterrupt):
        notebook.wait(job)
    assert notebook.names["steps"] > 0
    with pytest.raises(OptionError, match="no job 'nothing'"):
        notebook.line("stop nothing")


def test_a_job_that_waits_is_stopped_without_running(notebook, gate):
    code, end = gate
    first = notebook.torch(code, "--bg")
    second = notebook.torch("ran = 1", "--bg")
    assert notebook.names["job2"] is second
    second.stop()
    with pytest.raises(KeyboardInterrupt):
        notebook.wait(second)
    assert not first.done()
    end()
    notebook.wait(first)
    assert not notebook.torch("'ran' in globals()")


async def _peek_until(notebook, expression, wanted):
    while not wanted(value := await notebook.notebook.run_line(f"peek {expression}", False)):
        pass
    return value


def test_peek_while_a_cell_runs(notebook, gate, capfd):
    code, end = gate
    job = notebook.torch(code, "--bg")
    notebook.wait(printed(capfd, "begun"))
    first = notebook.wait(_peek_until(notebook, "w", lambda w: w[0] > 2))
    assert first.shape == (4,) and first.dtype == np.float32
    later = notebook.wait(_peek_until(notebook, "w[0]", lambda value: value > first[0] + 3))
    assert later > first[0] + 3
    with pytest.raises(TransferError, match="`nothing` does not exist on the server"):
        notebook.line("peek nothing")
    end()
    notebook.wait(job)
    # Nothing of it was disturbed, and nothing is taken for exchanged.
    assert np.array_equal(notebook.names["w"], notebook.torch("w"))


def test_peek_of_a_large_tensor(notebook, gate):
    _, end = gate
    notebook.torch("_big = torch.arange(10**6, dtype=torch.float64)")
    value = notebook.wait(notebook.notebook.run_line("peek _big", False))
    assert np.array_equal(value, np.arange(10**6, dtype="f8"))


def test_peek_of_a_large_tensor_that_the_cell_changes(notebook, gate, capfd):
    """What comes is torn between two steps, as the cell's own `w.clone()` in a thread would be, but it
    arrives: it is what was copied that has been summed up."""
    code, end = gate
    code = code.replace("arange(4.0)", "zeros(2**23)").replace("time.sleep(0.01)", "pass")
    job = notebook.torch(code, "--bg train")
    notebook.wait(printed(capfd, "begun"))
    first = notebook.wait(_peek_until(notebook, "w", lambda w: w[0] > 0))
    assert first.shape == (2**23,)
    for _ in range(4):
        later = notebook.wait(notebook.notebook.run_line("peek w", False))
        assert later[0] > first[0]
    end()
    notebook.wait(job)


def test_peek_leaves_input_to_the_cell(notebook, gate):
    code, end = gate
    job = notebook.torch(code + "name = input('who? ')", "--bg")
    notebook.wait(_peek_until(notebook, "steps", lambda steps: steps > 0))
    notebook.page.answers.append("me")
    end()
    notebook.wait(job)
    assert notebook.names["name"] == "me" and notebook.page.asked == [("who? ", False)]


@pytest.mark.parametrize("read", ["exec('seen = (w + 1).sum()')", "copy = w + 1"])
def test_a_large_tensor_read_while_a_job_changes_it_is_the_jobs(notebook, gate, capfd, read):
    """Reading changes nothing: what training has come to is not overwritten by a look at it."""
    code, end = gate
    notebook.torch("w = torch.zeros(2**20)")
    job = notebook.torch(code.replace("w = torch.arange(4.0)", ""), "--bg train")
    notebook.wait(_peek_until(notebook, "steps", lambda steps: steps > 0))
    notebook.local(read)
    seen = float(np.asarray(notebook.names["w"])[0])
    notebook.wait(_peek_until(notebook, "w[0].item()", lambda value: value > seen))
    end()
    notebook.wait(job)
    assert "changed while this job ran" not in capfd.readouterr().err
    steps = notebook.names["steps"]
    assert steps > seen and notebook.torch("w[0].item()") == steps
    notebook.local("now = (w + 0)[0]")
    assert notebook.names["now"] == steps


def test_what_was_changed_here_while_a_job_ran_stays(notebook, gate, capfd):
    code, end = gate
    notebook.local("import numpy as np\nx, y, z = np.ones(3), np.ones(3), np.ones(3)")
    notebook.torch("x, y, z;")
    job = notebook.torch(code + "x += 1; y += 1; z += 1", "--bg")
    notebook.local("x[0] = 7; y = np.full(3, 5.0)")

    async def behind():
        total = asyncio.ensure_future(notebook.notebook.run_cell("", "x.sum().item()"))
        end()
        return await total

    assert notebook.wait(behind()) == 9
    notebook.wait(job)
    said = capfd.readouterr().err
    assert all(f"`{name}` was changed while this job ran" in said for name in "xy")
    assert "`z`" not in said
    assert [notebook.names[name].tolist() for name in "xyz"] == [[7, 1, 1], [5, 5, 5], [2, 2, 2]]
    # Both sides have the same again.
    assert notebook.torch("x.tolist(), y.tolist(), z.tolist()") == (
        [7, 1, 1], [5, 5, 5], [2, 2, 2]
    )  # fmt: skip


def test_behind_a_job_nothing_is_taken_for_what_is_here(notebook, gate, monkeypatch):
    code, end = gate
    pulls, channel = [], type(notebook.connection.channel)
    execute = channel.execute

    def note(self, code, metadata, *others):
        pulls.append(metadata["torch"]["pull"]["current"])
        return execute(self, code, metadata, *others)

    monkeypatch.setattr(channel, "execute", note)
    notebook.names["x"] = np.ones(3)
    job = notebook.torch(f"{code}\nx = x + 1", "--bg")

    async def behind():
        cell = asyncio.ensure_future(notebook.notebook.run_cell("", "y = x"))
        await asyncio.sleep(0)
        end()
        await asyncio.gather(job, cell)

    notebook.wait(behind())
    assert notebook.names["y"].tolist() == [2, 2, 2]
    notebook.torch("z = x")
    assert notebook.names["z"] is notebook.names["x"]
    assert pulls == [[], [], ["x"]]
