"""What a remote `input()` or `getpass()` wants to know, asked by the page itself.

Not by the local kernel's own `input()`, whose answers every page of the origin can hear.
"""

import asyncio


class Questions:
    """The questions of one cell. `on_declined()` is called when the person closes one."""

    def __init__(self, connection, output, on_declined):
        self._connection = connection
        self._output = output
        self._on_declined = on_declined
        self._open = set()

    def ask(self, message):
        """Ask what an `input_request` asks; the answer goes to the kernel."""
        question = asyncio.ensure_future(self._ask(message))
        self._open.add(question)
        question.add_done_callback(self._open.discard)

    async def _ask(self, message):
        content = message["content"]
        page, cell = self._connection.page, self._output.message_id
        answer = await page.ask_input(content["prompt"], content["password"], cell)
        if answer is None:
            self._on_declined()
        else:
            reply = {"status": "ok", "value": answer}
            self._connection.channel.post("stdin", "input_reply", reply, parent=message["header"])

    def withdraw(self):
        """Ask no more: the cell has ended."""
        for question in self._open:
            question.cancel()
