"""What the extension sets up once and all handlers use."""

import logging
from dataclasses import dataclass, field

from .auth import Tokens
from .sessions import Sessions

PROTOCOL = 1


@dataclass(frozen=True)
class Limits:
    """Bounds on what a page can make this server hold."""

    #: One WebSocket message of an authenticated page, in bytes.
    message_bytes: int = 32 * 2**20
    #: One WebSocket message of a page that has not said its token yet, in bytes.
    hello_bytes: int = 4096
    #: Seconds in which a new WebSocket must say its token.
    hello_s: float = 10
    #: Shared memory for tensors on their way, each session, in bytes.
    shared_memory_bytes: int = 8 * 2**30
    #: Events of a session that wait for their page, in bytes.
    event_log_bytes: int = 64 * 2**20
    max_sessions: int = 32


@dataclass
class Proxy:
    """The proxy's parts. `origins` are exact, as browsers write them."""

    sessions: Sessions
    tokens: Tokens
    origins: set[str]
    log: logging.Logger
    limits: Limits = field(default_factory=Limits)
