"""The options of `jupyter torch-proxy`. Most are settings of KernelProxy, with its words for them."""

import argparse
import os
from typing import Any

from traitlets import Float, Int

from ..app import KernelProxy

TOKEN_VARIABLE = "JUPYTER_TORCH_TOKEN"  # noqa: S105 (a name)
DEFAULT_PORT = 8889


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(
        prog="jupyter torch-proxy",
        description="Let notebooks of a static JupyterLite page run their %%torch cells here.",
        epilog="`jupyter torch-proxy pair` connects one more page to a server that runs, `jupyter "
        "torch-proxy tokens` lists the tokens of pages and revokes them; --help of each says more. "
        f"Programs use a token that --token-file or the environment variable {TOKEN_VARIABLE} names; "
        "with neither and no --site, one is made and printed.",
    )
    add = made.add_argument
    add("--port", type=int, default=DEFAULT_PORT, help="default %(default)s; 0 takes a free one")
    add("--ip", default="127.0.0.1", help="address to listen on (default: this machine only)")
    add("--token-file", help="a file that holds the token for programs")
    add("--certfile", metavar="FILE", help="a certificate in PEM, to be reached by https")
    add("--keyfile", metavar="FILE", help="its key")
    add(
        "--self-signed",
        action="store_true",
        help="https with a certificate for localhost, made once; browsers ask before they trust it",
    )
    add("--directory", default=os.getcwd(), help="where kernels start (default: here)")
    for name, reading in SETTINGS.items():
        # Absent, so that the default stands in one place, and a configuration file can set it.
        add(_option(name), dest=name, default=argparse.SUPPRESS, help=_help(name), **reading)
    add(
        "--log-level",
        default="INFO",
        choices=("DEBUG", "INFO", "WARN", "ERROR"),
        help="how much is told on standard error (default %(default)s)",
    )
    add(
        "--log-format",
        default="text",
        choices=("text", "json"),
        help="json: one object for each line (default %(default)s)",
    )
    return made


def _option(name: str) -> str:
    singular = name.removesuffix("s") if _is_repeatable(name) else name
    return f"--{singular.replace('_', '-')}"


def _help(name: str) -> str:
    trait = KernelProxy.class_traits()[name]
    default = f" (default {trait.default_value})" if isinstance(trait, Int | Float) else ""
    return trait.help.replace("%", "%%") + ("; repeatable" if _is_repeatable(name) else default)


def _is_repeatable(name: str) -> bool:
    return SETTINGS[name].get("action") == "append"


def _minutes(text: str) -> float:
    """Read a time that is not negative; argparse says what is wrong with another."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of minutes")
    return value


def _days(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of days")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.1 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds, 0.1 at least")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no part of 1, such as 0.25")
    return value


_COUNT: dict[str, Any] = {"type": _count, "metavar": "N"}
_MIB: dict[str, Any] = {"type": _count, "metavar": "MIB"}
_MINUTES: dict[str, Any] = {"type": _minutes, "metavar": "MINUTES"}

#: The settings of KernelProxy that are options, and how argparse reads each. One that can be repeated
#: has a name in the plural.
SETTINGS: dict[str, dict[str, Any]] = {
    "site": {"metavar": "ADDRESS"},
    "origins": {"metavar": "ORIGIN", "action": "append"},
    "hosts": {"metavar": "NAME", "action": "append"},
    "address": {"metavar": "URL"},
    "kernels": {"metavar": "NAME", "action": "append"},
    "token_lifetime": {"type": _days, "metavar": "DAYS"},
    "shared_account": {"action": "store_true"},
    "state": {"metavar": "DIR"},
    "max_sessions": _COUNT,
    "max_sessions_per_token": _COUNT,
    "shared_memory": _MIB,
    "event_log": _MIB,
    "max_queued": _COUNT,
    "max_cell_minutes": _MINUTES,
    "max_cell_cpu_minutes": _MINUTES,
    "gpu_memory_share": {"type": _share, "metavar": "FRACTION"},
    "cull_after": _MINUTES,
    "exit_when_idle": _MINUTES,
    "ping_every": {"type": _seconds, "metavar": "SECONDS"},
}
