"""Frames of the channel: text for JSON, a sequence of buffers for JSON with binary parts."""

import json
import struct


def build(frame, buffers):
    text = json.dumps(frame)
    if not buffers:
        return text
    head = text.encode()
    return [struct.pack("<I", len(head)), head, *buffers]


def parse(message):
    """Return the frames of a message of the server, each with its binary parts."""
    if isinstance(message, str):
        frames = json.loads(message)
        return [(frame, ()) for frame in (frames if isinstance(frames, list) else [frames])]
    (length,) = struct.unpack_from("<I", message)
    head, parts, position = json.loads(bytes(message[4 : 4 + length])), [], 4 + length
    for size in head["buffers"]:
        parts.append(memoryview(message)[position : position + size])
        position += size
    return [(head, parts)]
