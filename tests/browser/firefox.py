"""Firefox, driven by the WebDriver BiDi that it speaks itself, with what `Lab` asks of a page.

Playwright drives a Firefox of its own making only.
"""

import base64
import contextlib
import itertools
import json
import re
import subprocess
from pathlib import Path

from conftest import program
from websockets.sync.client import connect

PROGRAM = "firefox-esr"
LISTENS = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")
START_LIMIT_S = 60
# A picture is one message.
MESSAGE_BYTES = 64 * 2**20

# What Playwright takes: an expression, or a function that is called with `arg`.
CALL = """async text => {
    const arg = JSON.parse(text);
    const value = (%s);
    return JSON.stringify((await (typeof value === 'function' ? value(arg) : value)) ?? null);
}"""
# The same, until it is true.
WAIT = """async arg => {
    for (;;) {
        const value = (%s);
        if (await (typeof value === 'function' ? value(arg) : value)) return true;
        await new Promise(resolve => setTimeout(resolve, 50));
    }
}"""

THERE = "name => [...document.querySelectorAll('button')].some(each => each.innerText === name)"


class FirefoxError(Exception):
    """Firefox refused a command, or the page raised an error."""


@contextlib.contextmanager
def firefox(folder: Path):
    """Start Firefox without a window, with a fresh profile in `folder`; yields its page."""
    profile = folder / "profile"
    profile.mkdir()
    command = [program(PROGRAM), "--headless", "--no-remote", "--profile", str(profile)]
    command += ["--remote-debugging-port=0", "about:blank"]
    log = folder / "firefox.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT)
    try:
        url = f"{address(process, log)}/session"
        with connect(url, max_size=MESSAGE_BYTES, compression=None) as socket:
            yield FirefoxPage(socket)
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def address(process, log):
    """The address that Firefox says it listens at."""
    with log.open("rb") as lines:
        text = b""
        while not (found := LISTENS.search(text)):
            try:
                process.wait(timeout=0.1)
                raise FirefoxError(f"Firefox ended at its start: {log.read_text()}")
            except subprocess.TimeoutExpired:
                text += lines.read()
    return found[1].decode()


class FirefoxPage:
    """One page, with the methods of Playwright's that `Lab` uses."""

    def __init__(self, socket):
        self._timeout_s = START_LIMIT_S
        self._numbers = itertools.count()
        self._socket = socket
        self.command("session.new", capabilities={})
        # The window that it starts with never has the focus (Firefox 153 headless), without which
        # JupyterLab has no current widget.
        self._context = self.command("browsingContext.create", type="window")["context"]
        size = {"width": 1280, "height": 900}
        self.command("browsingContext.setViewport", context=self._context, viewport=size)

    def command(self, method, **parameters):
        """Send one command of WebDriver BiDi; return its result."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=self._timeout_s))
            if answer.get("id") == number:
                break
        if answer["type"] == "error":
            raise FirefoxError(f"{method}: {answer['error']}: {answer['message']}")
        return answer["result"]

    def set_default_timeout(self, milliseconds):
        self._timeout_s = milliseconds / 1000

    def goto(self, url):
        self.command("browsingContext.navigate", context=self._context, url=url, wait="complete")

    def evaluate(self, expression, arg=None):
        return json.loads(self._call(CALL % expression, json.dumps(arg)))

    def wait_for_function(self, expression, arg=None):
        self.evaluate(WAIT % expression, arg)

    def click_button(self, name):
        """Press the button with this accessible name, as a pointer does."""
        self.wait_for_function(THERE, name)
        locator = {"type": "accessibility", "value": {"role": "button", "name": name}}
        (found,) = self.command(
            "browsingContext.locateNodes", context=self._context, locator=locator
        )["nodes"]
        element = {"type": "element", "element": {"sharedId": found["sharedId"]}}
        moves = [
            {"type": "pointerMove", "x": 0, "y": 0, "origin": element},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        pointer = {"type": "pointer", "id": "pointer", "actions": moves}
        self.command("input.performActions", context=self._context, actions=[pointer])

    def screenshot(self, path):
        taken = self.command("browsingContext.captureScreenshot", context=self._context)
        Path(path).write_bytes(base64.b64decode(taken["data"]))

    def _call(self, function, text):
        answer = self.command(
            "script.callFunction",
            functionDeclaration=function,
            awaitPromise=True,
            target={"context": self._context},
            arguments=[{"type": "string", "value": text}],
        )
        if answer["type"] == "exception":
            raise FirefoxError(answer["exceptionDetails"]["text"])
        return answer["result"]["value"]
