"""JupyterLab in a page, driven with clicks, keys and its own commands."""

import nbformat
from browser.executed import Executed

# The first cell waits for Pyodide, and the first remote one for torch.
START_TIMEOUT_S = 240


class Lab:
    """JupyterLab in a page; `page` is Playwright's."""

    def __init__(self, page):
        self.page = page
        page.set_default_timeout(START_TIMEOUT_S * 1000)

    def goto(self, url):
        """Open an address and wait until the app is there."""
        self.page.goto(url)
        self.ready()

    def ready(self):
        """Wait until the app is there."""
        self.page.wait_for_function("window.jupyterapp")
        self.page.evaluate("window.jupyterapp.restored.then(() => null)")

    def open_notebook(self, path, sources=("",)):
        """Write a notebook into the browser's storage and open it."""
        node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])
        node.metadata["kernelspec"] = {"name": "python", "display_name": "Python (Pyodide)"}
        self.page.evaluate(
            """async ([path, content]) => {
                const app = window.jupyterapp;
                const model = { type: 'notebook', format: 'json', content };
                await app.serviceManager.contents.save(path, model);
            }""",
            [path, node],
        )
        self.show(path)

    def show(self, path):
        """Open a notebook of the browser's storage, or bring it to the front."""
        self.page.evaluate(
            """async path => {
                const app = window.jupyterapp;
                const panel = await app.commands.execute('docmanager:open', { path });
                await panel.context.ready;
                await panel.sessionContext.ready;
                await panel.revealed;
                app.shell.activateById(panel.id);
                await panel.sessionContext.session.kernel.info;
            }""",
            path,
        )

    def start_cell(self, source):
        """Put a source into a new last cell and run it; returns without waiting for its end."""
        self.page.evaluate(
            """async source => {
                const app = window.jupyterapp;
                const panel = app.shell.currentWidget;
                const notebook = panel.content;
                notebook.activeCellIndex = notebook.widgets.length - 1;
                await app.commands.execute('notebook:insert-cell-below');
                notebook.activeCell.model.sharedModel.setSource(source);
                const cell = notebook.activeCell;
                window.cell = cell;
                window.ended = null;
                window.ran = app.commands.execute('notebook:run-cell');
                window.ran.finally(() => { window.ended = cell; });
            }""",
            source,
        )

    def end_cell(self):
        """Wait for the end of the cell that was started last; return it."""
        cell = self.page.evaluate(
            """async () => {
                await window.ran;
                return window.cell.model.toJSON();
            }"""
        )
        return Executed(nbformat.from_dict(cell))

    def run_cell(self, source):
        """Run a source in a new last cell; return it."""
        self.start_cell(source)
        return self.end_cell()

    def wait_for_output(self, text):
        """Wait until the running cell shows a text; fail if it ends without."""
        shows = "JSON.stringify(window.cell.model.outputs.toJSON()).includes(text)"
        self.page.wait_for_function(f"text => {shows} || window.ended === window.cell", arg=text)
        assert self.page.evaluate(f"text => {shows}", text), self.end_cell()

    def execute(self, command):
        """Run a command of JupyterLab; do not wait for what it returns."""
        self.page.evaluate("command => { window.jupyterapp.commands.execute(command); }", command)

    def saved(self, path):
        """A file as JSON, as the browser's storage has it."""
        return self.page.evaluate(
            "path => window.jupyterapp.serviceManager.contents.get(path, { content: true })", path
        )

    def give_token(self, token):
        """Answer the page's question with the keyboard."""
        field = self.page.locator(".jp-Dialog input[type=password]")
        field.wait_for()
        # The question takes the focus by itself.
        self.page.wait_for_function("document.activeElement?.type === 'password'")
        self.page.keyboard.type(token)
        self.page.keyboard.press("Enter")
        field.wait_for(state="detached")
