"""A person at a remote cell: its questions answered, the cell stopped, its session found again."""

import json

from browser.lab import Lab

FIELD = ".jp-OutputArea-stdin-item:not(.jp-OutputArea-stdin-hiding) .jp-Stdin-input"
STOP = '.jp-NotebookPanel-toolbar [data-jp-item-name="interrupt"]'
# Stands for compiled code that does not return to Python: the signal is for a thread that can not
# act on it.
DEAF = """import signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
print('deaf', flush=True)
time.sleep({})
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
"""
# What goes over the channels that every page of the origin can hear.
LISTEN = """() => {
    window.heard = [];
    const post = BroadcastChannel.prototype.postMessage;
    BroadcastChannel.prototype.postMessage = function (message) {
        window.heard.push(JSON.stringify(message));
        return post.call(this, message);
    };
}"""
STORED = "() => JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage)])"
IDLE = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
PENDING = "() => window.jupyterapp.shell.currentWidget.sessionContext.pendingInput"


def connected(new_lab, served, start_proxy, path):
    """A page with a notebook that is connected to a proxy."""
    proxy = start_proxy("--site", served.url)
    lab = new_lab(proxy.link)
    lab.page.get_by_role("button", name="Connect", exact=True).click()
    lab.open_notebook(path)
    return lab, proxy


def await_field(lab):
    """Wait for the field of `input()` in the outputs of the cell that runs, with the focus on it."""
    lab.page.locator(".jp-CodeCell", has=lab.page.locator(FIELD)).wait_for()
    lab.page.wait_for_function(f"document.activeElement?.matches('{FIELD}')")
    assert lab.page.evaluate("window.cell.node.contains(document.activeElement)")
    return lab.page.locator(FIELD)


def answer(lab, text):
    """Type an answer with the keyboard."""
    field = await_field(lab)
    lab.page.keyboard.type(text)
    lab.page.keyboard.press("Enter")
    field.wait_for(state="detached")


def test_input(new_lab, served, start_proxy, artifacts):
    """As if the cell were local, but that no other page hears the answer."""
    lab, _ = connected(new_lab, served, start_proxy, "input.ipynb")
    lab.page.evaluate(LISTEN)
    lab.start_cell("%%torch\nprint('hello')\nname = input('Your name:')\nprint(f'<{name}>')")
    await_field(lab)
    assert lab.page.evaluate(PENDING)
    lab.page.screenshot(path=artifacts / "input.png")
    answer(lab, "  Ada L. ")
    asked = lab.end_cell()
    streams = [(output.name, output.text) for output in asked.outputs]
    assert streams == [
        ("stdout", "hello\n"),
        ("stdin", "Your name:   Ada L. \n"),
        ("stdout", "<  Ada L. >\n"),
    ]
    assert lab.run_cell("name").result["text/plain"] == "'  Ada L. '"

    lab.start_cell("%%torch\nfrom getpass import getpass\nlength = len(getpass('Password:'))")
    assert await_field(lab).get_attribute("type") == "password"
    lab.page.screenshot(path=artifacts / "password.png")
    answer(lab, "swordfish")
    asked = lab.end_cell()
    assert "Password: " in asked.stream("stdin") and "swordfish" not in str(asked.outputs)
    assert lab.run_cell("length").result["text/plain"] == "9"

    # A password is not among what the arrow keys bring back; nor is it anywhere else.
    lab.start_cell("%%torch\na, b = input(), input('again')\na, b")
    field = await_field(lab)
    lab.page.keyboard.press("ArrowUp")
    assert field.input_value() == "  Ada L. "
    lab.page.keyboard.press("Enter")
    answer(lab, "second")
    assert lab.end_cell().result["text/plain"] == "('  Ada L. ', 'second')"
    assert not lab.page.evaluate(PENDING)
    lab.page.evaluate(
        "() => window.jupyterapp.commands.execute('docmanager:save').then(() => null)"
    )
    assert "swordfish" not in json.dumps(lab.saved("input.ipynb"))
    assert "swordfish" not in lab.page.evaluate(STORED)
    # What the page does with a local `input()`: if that were not heard, nothing would be.
    lab.start_cell("local = input('local')")
    answer(lab, "overheard")
    lab.end_cell()
    heard = "".join(lab.page.evaluate("window.heard"))
    assert "overheard" in heard and "swordfish" not in heard and "Ada" not in heard


def test_input_is_left(new_lab, served, start_proxy):
    """Stopped, cleared, deleted: the field goes or comes back, and the cell is not left waiting."""
    lab, _ = connected(new_lab, served, start_proxy, "left.ipynb")
    lab.start_cell("%%torch\nx = input('stop me')")
    field = await_field(lab)
    lab.page.locator(STOP).click()
    field.wait_for(state="detached")
    assert lab.end_cell().error.ename == "KeyboardInterrupt"
    assert not lab.page.evaluate(PENDING)

    lab.start_cell("%%torch\nx = input('clear me')")
    await_field(lab).evaluate("field => field.classList.add('first')")
    lab.execute("notebook:clear-cell-output")
    lab.page.locator(".first").wait_for(state="detached")
    answer(lab, "still here")
    assert lab.end_cell().stream("stdin") == "clear me still here\n"
    assert lab.run_cell("x").result["text/plain"] == "'still here'"

    lab.start_cell("%%torch\nx = input('delete me')")
    field = await_field(lab)
    lab.execute("notebook:delete-cell")
    field.wait_for(state="detached")
    # It would be busy for ever with a cell that waits.
    lab.page.wait_for_function(IDLE)
    assert lab.run_cell("%%torch\nx").result["text/plain"] == "'still here'"

    # Outputs that can not be seen: a dialog asks.
    lab.start_cell(
        "%%torch\nimport time\nprint('hidden', flush=True)\ntime.sleep(2)\nx = input('?')"
    )
    lab.wait_for_output("hidden")
    lab.execute("notebook:hide-cell-outputs")
    dialog = lab.page.locator(".jp-Dialog", has_text="waits for input")
    dialog.wait_for()
    lab.page.wait_for_function("document.activeElement?.matches('.jp-Dialog input')")
    lab.page.keyboard.type(" typed ")
    lab.page.keyboard.press("Enter")
    lab.end_cell()
    assert lab.run_cell("x").result["text/plain"] == "' typed '"
    lab.start_cell("%%torch\nprint('hidden', flush=True)\ntime.sleep(2)\nx = input('?')")
    lab.wait_for_output("hidden")
    lab.execute("notebook:hide-cell-outputs")
    dialog.wait_for()
    lab.page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert lab.end_cell().error.ename == "KeyboardInterrupt"


def test_input_in_the_repl(new_lab, served, start_proxy):
    proxy = start_proxy("--site", served.url)
    fragment = proxy.link.partition("#")[2]
    lab = new_lab(f"{served.url}repl/index.html?kernel=python#{fragment}")
    lab.page.get_by_role("button", name="Connect", exact=True).click()
    lab.page.locator(".jp-CodeConsole-promptCell .cm-content").click()
    lab.page.keyboard.type("%%torch\nprint(input('Name:') * 2)")
    lab.page.keyboard.press("Shift+Enter")
    lab.page.locator(f".jp-CodeConsole {FIELD}").wait_for()
    lab.page.wait_for_function(f"document.activeElement?.matches('{FIELD}')")
    lab.page.keyboard.type("Ada")
    lab.page.keyboard.press("Enter")
    lab.page.get_by_text("AdaAda").wait_for()
    assert lab.page.get_by_text("Name: Ada").count() == 1


def test_stop_that_does_not_stop(new_lab, served, start_proxy, artifacts):
    """Who waits for compiled code is offered a restart of the remote kernel, and nothing else."""
    lab, _ = connected(new_lab, served, start_proxy, "deaf.ipynb")
    stop, dialog = lab.page.locator(STOP), lab.page.locator(".jp-Dialog")
    lab.run_cell("here = 1")
    lab.run_cell("%%torch\nthere = 2")

    # A double click is one Stop, and a cell that reacts needs no question.
    lab.start_cell("%%torch\nimport time\nprint('begun', flush=True)\ntime.sleep(60)")
    lab.wait_for_output("begun")
    stop.dblclick()
    assert lab.end_cell().error.ename == "KeyboardInterrupt"
    lab.page.wait_for_timeout(3500)
    assert dialog.count() == 0

    # The question goes when the cell has come to its end.
    lab.start_cell("%%torch\n" + DEAF.format(6))
    lab.wait_for_output("deaf")
    stop.click()
    dialog.wait_for()
    assert "does not stop" in dialog.inner_text()
    dialog.wait_for(state="detached")
    lab.end_cell()

    lab.start_cell("%%torch\n" + DEAF.format(200))
    lab.wait_for_output("deaf")
    stop.click()
    lab.page.wait_for_timeout(1000)
    assert dialog.count() == 0
    # Who presses again need not wait, and Enter keeps what is there.
    stop.click()
    dialog.wait_for(timeout=1500)
    lab.page.screenshot(path=artifacts / "stop.png")
    lab.page.keyboard.press("Enter")
    dialog.wait_for(state="detached")
    stop.click()
    dialog.get_by_role("button", name="Restart the remote kernel").click()
    restarted = lab.end_cell()
    assert "KernelDied" in restarted.failure and "restarted" in restarted.failure, restarted
    assert dialog.count() == 0
    assert lab.run_cell("here").result["text/plain"] == "1"
    assert lab.run_cell("%%torch\n'there' in globals()").result["text/plain"] == "False"

    # Without a remote cell it is JupyterLab's own Stop.
    stop.click()
    stop.click()
    lab.page.wait_for_timeout(3500)
    assert dialog.count() == 0


def test_session_of_a_lost_tab(new_lab, served, start_proxy):
    """A tab that is gone leaves its session to the next one; two tabs at a time have two."""
    lab, proxy = connected(new_lab, served, start_proxy, "work.ipynb")
    lab.run_cell("%%torch\nmark = 1")

    def another_tab(path):
        tab = Lab(lab.page.context.new_page())
        tab.goto(f"{served.url}lab/index.html")
        tab.show(path)
        tab.start_cell(f"%torch connect {proxy.url}")
        tab.give_token(proxy.token)
        assert "Connected to" in tab.end_cell().stdout
        return tab

    def has_mark(tab):
        return tab.run_cell("%%torch\n'mark' in globals()").result["text/plain"] == "True"

    second = another_tab("work.ipynb")
    assert not has_mark(second)
    second.page.close()
    assert has_mark(lab)
    lab.page.evaluate(
        """async () => {
            const { context } = window.jupyterapp.shell.currentWidget;
            await context.save();
            await window.jupyterapp.serviceManager.contents.rename('work.ipynb', 'moved.ipynb');
        }"""
    )
    lab.page.wait_for_function("window.jupyterapp.shell.currentWidget.context.path != 'work.ipynb'")
    # The session's new path is told to the page's plugins after the document's.
    lab.page.wait_for_function("JSON.stringify(localStorage).includes('moved.ipynb')")
    lab.page.close()

    third = another_tab("moved.ipynb")
    assert has_mark(third)
    assert proxy.token not in third.page.evaluate("() => JSON.stringify(localStorage)")
    # A new notebook of the name of one that was deleted starts with nothing.
    third.page.evaluate(
        """async () => {
            const { shell, serviceManager } = window.jupyterapp;
            const panel = shell.currentWidget;
            await panel.context.save();
            await panel.sessionContext.shutdown();
            panel.dispose();
            await serviceManager.contents.delete('moved.ipynb');
        }"""
    )
    third.open_notebook("moved.ipynb")
    assert not has_mark(third)
