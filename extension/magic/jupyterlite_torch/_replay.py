"""`%torch replay`: what cells printed while no page watched, and what one that still runs prints."""

from ._errors import ServerError
from ._questions import Questions
from ._request import joined

#: Bytes of events that are asked for at a time.
PART_BYTES = 2 * 2**20


async def replay(notebook):
    """Show the cells that ended unseen, and follow the one that runs, to its end."""
    channel = notebook.connection.channel
    # What this page runs itself is in the areas of its own cells.
    cells = [cell for cell in await cells_of(channel) if not channel.awaits(cell["id"])]
    if not cells:
        print("Nothing was printed while nobody watched.")
    for cell in cells:
        if cell["state"] == "queued":
            continue
        output = notebook.output()
        if len(cells) > 1:
            output.write(f"── {first_line(cell)} ──\n")
        await _Replay(notebook, channel, cell["id"], output).run()


class _Replay:
    def __init__(self, notebook, channel, identifier, output):
        self._channel, self._id, self._output = channel, identifier, output
        self._questions = Questions(notebook.connection, output, notebook.stops.stop)
        self._after = 0

    async def run(self):
        # First of all, so that nothing is missed between what was and what is.
        request = self._channel.follow(self._id)
        try:
            running = True
            while running:
                await self._catch_up()
                cells = {cell["id"]: cell for cell in await cells_of(self._channel)}
                running = cells.get(self._id, {}).get("state") == "running"
                if running:
                    request.known = self._after
                    await self._channel.finish(request, self._show)
                    running = False
                else:
                    await self._catch_up()
            self._channel.seen(self._id)
        finally:
            self._channel.forget(request)
            self._questions.withdraw()

    async def _catch_up(self):
        more = True
        while more:
            content = {"cell": self._id, "after": self._after, "bytes": PART_BYTES}
            reply = await self._channel.request("replay_request", content)
            if reply.content["status"] != "ok":
                raise ServerError(reply.content["evalue"])
            if reply.content["lost"]:
                text = f"{reply.content['lost']} older messages are not kept any more.\n"
                self._output.write(text, "stderr")
            buffers = list(reply.buffers)
            events = []
            for event in reply.content["events"]:
                count = event.get("buffers", 0)
                events.append((event["channel"], event["msg"], buffers[:count]))
                del buffers[:count]
            for _, message, parts in joined(events):
                self._show(message, parts)
            self._after, more = reply.content["seq"], reply.content["more"]

    def _show(self, message, buffers):
        kind, content = message["header"]["msg_type"], message["content"]
        if kind == "input_request":
            self._questions.ask(message)
        elif kind == "error":
            self._output.write("\n".join(content["traceback"]) + "\n", "stderr")
        elif kind == "execute_result":
            self._output.show({"header": {"msg_type": "display_data"}, "content": content})
        else:
            self._output.show(message, buffers)


async def cells_of(channel):
    """Return the cells that run, wait, or have ended unseen in the session."""
    reply = await channel.request("cells_request", {})
    if reply.content["status"] != "ok":
        raise ServerError(reply.content["evalue"])
    return reply.content["cells"]


def first_line(cell):
    """Return the first line of a cell's code, for a person to know it by."""
    lines = (line.strip() for line in cell["code"].splitlines())
    line = next((line for line in lines if line and not line.startswith("#")), "an empty cell")
    return line if len(line) <= 60 else line[:59] + "…"
