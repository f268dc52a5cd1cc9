"""A request to a session that is under way: what has come for it, in order."""

import asyncio


class Reply:
    """What a request came to: the reply message and its binary parts."""

    def __init__(self, message, buffers):
        self.content = message["content"]
        self.metadata = message["metadata"]
        self.buffers = buffers


class Request:
    """One Jupyter request, `id` being its `msg_id`. `frame` is sent again when a line comes back;
    None for a cell that another page has begun.

    A `shown` one has an output area, in which a person is told what happens to the line.
    """

    def __init__(self, identifier, channel, frame, shown=False):
        self.id, self.channel, self.frame, self.shown = identifier, channel, frame, shown
        #: Events up to this number are known already.
        self.known = 0
        self._items = asyncio.Queue()

    def take(self, seq, channel, message, buffers):
        """Add an event."""
        if message["content"] == {"execution_state": "busy"}:
            # Nobody waits for it.
            return
        self._items.put_nowait((seq, channel, message, buffers))

    def tell(self, text):
        """Add a word of the channel itself, as an event of type `notice`."""
        message = {"header": {"msg_type": "notice"}, "content": {"text": text}}
        self._items.put_nowait((None, "iopub", message, ()))

    def fail(self, error):
        """End it with an error."""
        self._items.put_nowait((None, "failed", error, ()))

    async def follow(self, on_event):
        """Call `on_event(message, buffers)` for each event, in order; return the Reply.

        Streams that follow each other come as one.
        """
        reply, idle = None, False
        while reply is None or not idle:
            for channel, message, buffers in joined(await self._batch()):
                if channel == "failed":
                    raise message
                kind = message["header"]["msg_type"]
                if channel == self.channel:
                    reply = Reply(message, buffers)
                elif kind == "status":
                    idle = idle or message["content"]["execution_state"] == "idle"
                else:
                    on_event(message, buffers)
        return reply

    async def _batch(self):
        """Wait for one event and return it with all that are there already."""
        items = [await self._items.get()]
        while not self._items.empty():
            items.append(self._items.get_nowait())
        return [item[1:] for item in items if item[0] is None or item[0] > self.known]


def joined(items):
    """Join stream messages that follow each other: the page takes each `write` one by one.

    An item is (channel, message, buffers).
    """
    joined = []
    for item in items:
        if joined and _is_stream(item) and _is_stream(joined[-1]):
            content, last = item[1]["content"], joined[-1][1]["content"]
            if content["name"] == last["name"]:
                last["text"].append(content["text"])
                continue
        if _is_stream(item):
            channel, message, buffers = item
            content = {**message["content"], "text": [message["content"]["text"]]}
            item = channel, {**message, "content": content}, buffers
        joined.append(item)
    for item in joined:
        if _is_stream(item):
            item[1]["content"]["text"] = "".join(item[1]["content"]["text"])
    return joined


def _is_stream(item):
    return item[0] == "iopub" and item[1]["header"]["msg_type"] == "stream"
