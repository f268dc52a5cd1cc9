"""Frames of the channel: text for JSON, a sequence of buffers for JSON with binary parts."""

import json
import struct


def build(frame, buffers):
    text = json.dumps(frame)
    if not buffers:
        return text
    head = text.encode()
    return [struct.pack("<I", len(head)), head, *buffers]


def parse(frame):
    if isinstance(frame, str):
        return json.loads(frame), ()
    (length,) = struct.unpack_from("<I", frame)
    head, parts, position = json.loads(bytes(frame[4 : 4 + length])), [], 4 + length
    for size in head["buffers"]:
        parts.append(memoryview(frame)[position : position + size])
        position += size
    return head, parts
