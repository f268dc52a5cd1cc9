"""Outputs as text for a terminal."""

import base64
import struct

import pytest

from lite_site import text

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 432, 288)).decode()


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ({"output_type": "stream", "name": "stdout", "text": "a\nb\n"}, "a\nb"),
        ({"output_type": "stream", "name": "stdout", "text": ["a\n", "b\n"]}, "a\nb"),
        ({"output_type": "stream", "name": "stderr", "text": "\x1b[31mred\x1b[0m"}, "red"),
        (
            {
                "output_type": "execute_result",
                "data": {"text/html": "<b>3</b>", "text/plain": "3"},
            },
            "3",
        ),
        (
            {"output_type": "display_data", "data": {"image/png": PNG, "text/plain": "<Figure>"}},
            "[image/png 432x288]",
        ),
        (
            {"output_type": "display_data", "data": {"image/svg+xml": "<svg/>"}},
            "[image/svg+xml]",
        ),
        (
            {"output_type": "display_data", "data": {"application/x-new": {}}},
            "[application/x-new]",
        ),
        (
            {
                "output_type": "error",
                "ename": "E",
                "evalue": "v",
                "traceback": ["\x1b[1mat\x1b[0m"],
            },
            "at",
        ),
        ({"output_type": "error", "ename": "E", "evalue": "v", "traceback": []}, "E: v"),
    ],
)
def test_render(output: dict, shown: str):
    assert text.render(output) == shown


def test_colours_stay_where_they_can_be_shown():
    output = {"output_type": "stream", "name": "stdout", "text": "\x1b[31mred\x1b[0m"}
    assert text.render(output, colour=True) == "\x1b[31mred\x1b[0m"


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("ValueError", "x\ny", "ValueError: x"),
        ("<class 'ValueError'>", "x", "ValueError: x"),
        ("<class 'package.module.OwnError'>", "x", "OwnError: x"),
        ("KeyboardInterrupt", "", "KeyboardInterrupt"),
    ],
)
def test_error_line(name: str, value: str, line: str):
    assert text.error_line({"ename": name, "evalue": value}) == line


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("", ""),
        ("# why\n\nx = 1\ny = 2", "x = 1"),
        ("# only this", "# only this"),
        ("%%torch -i x\n# why\nx.sum()", "%%torch -i x  x.sum()"),
        ("%%torch", "%%torch"),
    ],
)
def test_first_line(source: str, line: str):
    assert text.first_line(source).rstrip() == line
