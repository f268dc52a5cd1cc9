"""The line after `%%torch`."""

import argparse
import ast
import re
from dataclasses import dataclass, field

from IPython.utils.process import arg_split

from ._errors import OptionError

USAGE = (
    "%%torch [-i NAMES] [-o NAMES or name=expression] [--as DTYPE] [--eager SIZE] [--no-auto] "
    "[--bg [NAME]]"
)
#: What `--as` takes.
SENT_AS = ("float64", "float32", "float16", "bfloat16")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(bytes|B|[kKMG]i?B?|)", re.ASCII)


@dataclass
class Options:
    """What the line of a cell asks for. `send`: name to device or None; `fetch`: name to expression;
    `background`: the name of a job, empty for any, None for a cell in the foreground; `dtype`: what
    floating-point arrays are sent as, None for their own; `eager`: bytes, None for the notebook's."""

    send: dict[str, str | None] = field(default_factory=dict)
    fetch: dict[str, str] = field(default_factory=dict)
    auto: bool = True
    background: str | None = None
    dtype: str | None = None
    eager: int | None = None


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise OptionError(f"{message}. The line is: {USAGE}")


def parse(line):
    """Return the Options of a line; OptionError with what is wrong and how it is written."""
    if not line.strip():
        return Options()
    parser = _Parser(prog="%%torch", add_help=False, allow_abbrev=False)
    parser.add_argument("-i", dest="send", action="extend", nargs="+", default=[])
    parser.add_argument("-o", dest="fetch", action="extend", nargs="+", default=[])
    parser.add_argument("--as", dest="dtype", default=None)
    parser.add_argument("--eager", default=None)
    parser.add_argument("--no-auto", dest="auto", action="store_false")
    parser.add_argument("--bg", nargs="?", const="", default=None)
    try:
        words = arg_split(line)
    except ValueError as error:
        raise OptionError(f"{error}. The line is: {USAGE}") from None
    found = parser.parse_args([_unquoted(word) for word in words])
    options = Options(
        auto=found.auto,
        background=found.bg and _name(found.bg, "--bg"),
        dtype=found.dtype and _dtype(found.dtype),
        eager=None if found.eager is None else size(found.eager, "--eager"),
    )
    for item in _items(found.send):
        name, _, device = item.partition(":")
        options.send[_name(name, "-i")] = device or None
    for item in _items(found.fetch):
        name, equals, expression = item.partition("=")
        if equals:
            _check_expression(expression)
        options.fetch[_name(name, "-o")] = expression.strip() if equals else name.strip()
    return options


def size(text, option):
    """Return the bytes of a size as people write it: `8MiB`, `512 KiB`, `1000`; all units are
    powers of 1024."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise OptionError(f"{option} takes a size such as 8MiB, 512KiB or 0, and {text!r} is none.")
    power = " kmg".index(match[2][:1].lower() if match[2] not in ("", "B", "bytes") else " ")
    return int(float(match[1]) * 1024**power)


def _dtype(text):
    name = text.removeprefix("torch.")
    if name not in SENT_AS:
        raise OptionError(f"--as takes one of {', '.join(SENT_AS)}, and {text!r} is none.")
    return name


def _unquoted(word):
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "'\"" else word


def _items(words):
    """Split at commas that are outside brackets and quotes."""
    for word in words:
        depth, start, quote = 0, 0, None
        for position, letter in enumerate(word):
            if quote:
                quote = None if letter == quote else quote
            elif letter in "'\"":
                quote = letter
            elif letter in "([{":
                depth += 1
            elif letter in ")]}":
                depth -= 1
            elif letter == "," and depth == 0:
                yield word[start:position]
                start = position + 1
        if word[start:].strip():
            yield word[start:]


def _name(text, option):
    name = text.strip()
    if not name.isidentifier():
        raise OptionError(f"{option} takes names, and {name!r} is none. The line is: {USAGE}")
    return name


def _check_expression(expression):
    try:
        ast.parse(expression.strip(), mode="eval")
    except SyntaxError as error:
        raise OptionError(
            f"-o {expression.strip()!r} is not an expression: {error.msg}. Put one that has spaces "
            'in quotes: -o "part=w[:10, 0]"'
        ) from None


#: Words that make a name or key look like a secret.
_SECRET = re.compile(
    r"(?:^|_)(?:token|key|apikey|password|passwd|passphrase|secret|secrets|credentials?)(?:$|_|\d)"
)


def looks_secret(name):
    """True for names and keys such as `api_key`, `hfToken`, `PASSWORD`."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_")
    return bool(_SECRET.search(snake))
