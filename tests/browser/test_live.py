"""What goes on beside and after cells: widgets, jobs, and cells that outlive their page."""

import re
import statistics

import pytest

SLIDER = """\
%%torch
import ipywidgets, threading
slider = ipywidgets.IntSlider(value=3, description='level')
label = ipywidgets.Label('untouched')
collected = ipywidgets.Output()

def moved(change):
    label.value = f"server saw {change['new']}"
    with collected:
        print('printed by the callback', change['new'])

slider.observe(moved, 'value')
with collected:
    print('printed under the widget')
display(slider, label, collected)"""


def test_widgets_of_the_server(lab, artifacts):
    cell = lab.run_cell(SLIDER)
    assert cell.error is None, cell
    output = lab.page.locator(".jp-CodeCell").last.locator(".jp-Cell-outputArea")
    output.locator(".widget-readout").wait_for()
    assert output.locator(".widget-readout").inner_text() == "3"
    output.locator("pre", has_text="printed under the widget").wait_for()

    # After the cell, a key on the slider goes to the server, whose answer shows.
    output.locator(".noUi-handle").focus()
    lab.page.keyboard.press("ArrowRight")
    output.get_by_text("server saw 4").wait_for()
    output.locator("pre", has_text="printed by the callback 4").wait_for()
    moved = lab.run_cell("%%torch\nslider.value")
    assert moved.result["text/plain"] == "4"
    assert [output.execution_count for output in moved.outputs] == [moved.count]
    lab.page.screenshot(path=artifacts / "widgets.png")

    # And the server moves it, while a cell runs.
    lab.start_cell(
        "%%torch\nimport time\nfor value in range(5, 60):\n    slider.value = value\n    time.sleep(0.05)"
    )
    middle = lab.page.locator(".widget-readout", has_text=re.compile("^[1-4][0-9]$"))
    middle.first.wait_for()
    assert lab.page.locator(".jp-CodeCell").last.get_by_text("[*]:").is_visible()
    assert lab.end_cell().error is None
    lab.page.locator(".widget-readout", has_text="59").first.wait_for()


def test_progress_bars(lab, artifacts):
    cell = lab.start_cell(
        "%%torch\nimport os, time\nfrom tqdm.auto import tqdm\n"
        "for _ in tqdm(range(40), desc='live'):\n    time.sleep(0.05)"
    )
    bar = lab.page.locator(".jp-CodeCell .widget-html-content", has_text=re.compile(r"\d+/40"))
    bar.first.wait_for()
    seen = set()
    while "40/40" not in (text := bar.first.inner_text()):
        seen.add(text)
    cell = lab.end_cell()
    assert cell.error is None and len(seen) > 3, seen
    lab.page.screenshot(path=artifacts / "progress.png")


@pytest.mark.alone
def test_stop_takes_effect_at_once(lab):
    """From the button's command to the end of the cell, in the page's own time."""
    lab.run_cell("%%torch\nimport time")
    took = []
    for _ in range(5):
        lab.start_cell("%%torch\nprint('begun', flush=True)\ntime.sleep(60)")
        lab.wait_for_output("begun")
        took.append(
            lab.page.evaluate(
                """async () => {
                    const start = performance.now();
                    window.jupyterapp.commands.execute('notebook:interrupt-kernel');
                    await window.ran;
                    return performance.now() - start;
                }"""
            )
        )
        assert lab.end_cell().error.ename == "KeyboardInterrupt"
    print("Stop took", [f"{ms:.0f} ms" for ms in took])
    assert statistics.median(took) < 300


def test_a_job_prints_below_its_own_cell(lab, artifacts, tmp_path):
    gate = tmp_path / "gate"
    code = (
        "%%torch --bg train\nimport os, time\nstep = 0\n"
        f"while not os.path.exists({str(gate)!r}):\n"
        "    step += 1\n    print('step', step)\n    time.sleep(0.05)\n"
        "print('the end of the job')\nw = torch.ones(3)"
    )
    lab.start_cell(code)
    assert lab.end_cell().error is None
    lab.page.evaluate("window.job = window.cell")
    outputs = "JSON.stringify(window.job.model.outputs.toJSON())"
    lab.page.wait_for_function(f"{outputs}.includes('step 3')")
    local = lab.run_cell("print('here'); train.done()")
    assert (local.stdout, local.result["text/plain"]) == ("here\n", "False")
    peeked = lab.run_cell("%torch peek step")
    assert int(peeked.result["text/plain"]) > 2
    assert "running" in lab.run_cell("%torch jobs").stdout
    status = lab.run_cell("%torch status").stdout
    assert "Runs, begun less than a minute ago: import os, time" in status
    gate.touch()
    waited = lab.run_cell("await train\nw.tolist()")
    assert waited.result["text/plain"] == "[1.0, 1.0, 1.0]" and waited.stdout == ""
    text = lab.page.evaluate(outputs)
    assert "the end of the job" in text and "<job train: done" in text
    steps = [int(n) for n in re.findall(r"step (\d+)", text)]
    assert steps == list(range(1, len(steps) + 1)) and len(steps) > 3
    lab.page.screenshot(path=artifacts / "job.png")


def test_a_reload_during_a_cell(lab, artifacts, tmp_path):
    gate = tmp_path / "gate"
    code = (
        "%%torch\nimport os, time\nkept = torch.arange(3)\nprint('first line')\n"
        f"while not os.path.exists({str(gate)!r}):\n    time.sleep(0.02)\n"
        "print('last line')\n1 / 0"
    )
    lab.start_cell(code)
    lab.wait_for_output("first line")
    lab.page.reload()
    lab.ready()
    lab.show("work.ipynb")
    status = lab.run_cell("%torch status")
    assert "a cell is running" in status.stderr and "`%torch replay`" in status.stderr
    assert "Runs, begun" in status.stdout
    # The replay follows the cell to its end.
    lab.start_cell("%torch replay")
    lab.wait_for_output("first line")
    gate.touch()
    replayed = lab.end_cell()
    assert replayed.stdout == "first line\nlast line\n", replayed
    assert "ZeroDivisionError" in replayed.stderr
    lab.page.screenshot(path=artifacts / "replay.png")
    again = lab.run_cell("%torch replay")
    assert "Nothing was printed while nobody watched" in again.stdout
    assert lab.run_cell("%%torch\nkept.tolist()").result["text/plain"] == "[0, 1, 2]"


def test_a_cell_that_ended_while_nobody_watched(lab, tmp_path):
    gate, done = tmp_path / "gate", tmp_path / "done"
    lab.start_cell(
        "%%torch\nimport os, pathlib, time\nprint('seen')\n"
        f"while not os.path.exists({str(gate)!r}):\n    time.sleep(0.02)\n"
        f"for i in range(1000):\n    print('unseen', i)\npathlib.Path({str(done)!r}).touch()"
    )
    lab.wait_for_output("seen")
    lab.page.goto("about:blank")
    gate.touch()
    while not done.exists():
        lab.page.wait_for_timeout(20)
    lab.page.go_back()
    lab.ready()
    lab.show("work.ipynb")
    replayed = lab.run_cell("%torch replay")
    assert "has ended unseen" in replayed.stderr
    assert replayed.stdout == "seen\n" + "".join(f"unseen {i}\n" for i in range(1000))


def test_a_reload_while_a_cell_waits_for_input(lab):
    lab.start_cell("%%torch\nname = input('Your name: ')\nprint('hello', name)")
    lab.page.locator(".jp-Stdin-input").wait_for()
    lab.page.reload()
    lab.ready()
    lab.show("work.ipynb")
    lab.start_cell("%torch replay")
    lab.page.locator(".jp-Stdin-input").fill("Ada")
    lab.page.keyboard.press("Enter")
    assert "hello Ada" in lab.end_cell().stdout


def test_a_proxy_that_is_killed_and_started_again(new_lab, served, start_proxy, port, tmp_path):
    gate = tmp_path / "gate"
    proxy = start_proxy("--site", served.url, port=port)
    lab = new_lab(proxy.link)
    lab.page.get_by_role("button", name="Connect", exact=True).click()
    lab.open_notebook("killed.ipynb")
    lab.start_cell(
        "%%torch\nimport os, time\nkept = torch.ones(2)\nprint('before')\n"
        f"while not os.path.exists({str(gate)!r}):\n    time.sleep(0.02)\n"
        "print('after')\nkept * 2"
    )
    lab.wait_for_output("before")
    proxy.kill()
    proxy.start()
    lab.wait_for_output("The server was down until")
    gate.touch()
    cell = lab.end_cell()
    assert cell.error is None, cell
    assert cell.stdout == "before\nafter\n" and cell.result["text/plain"] == "tensor([2., 2.])"
    assert lab.run_cell("kept.tolist()").result["text/plain"] == "[1.0, 1.0]"
    assert lab.run_cell("%%torch\nkept.sum()").result["text/plain"] == "tensor(2.)"


def test_stop_while_an_array_comes(lab):
    lab.run_cell("%%torch\nw = torch.ones(2**27)")
    with lab.page.context.expect_event("request", lambda it: it.url.endswith("/tensors")):
        lab.start_cell("w.ravel()[:3]")
    lab.execute("notebook:interrupt-kernel")
    stopped = lab.end_cell()
    assert "stopped while `w` came from the server" in stopped.failure, stopped
    assert (
        "RemoteArray w: float32 (134217728,), 512 MiB"
        in lab.run_cell("print(globals()['w'])").stdout
    )
    assert lab.run_cell("w[:3].tolist()").result["text/plain"] == "[1.0, 1.0, 1.0]"
    assert lab.run_cell("%%torch\nlen(w)").result["text/plain"] == str(2**27)
