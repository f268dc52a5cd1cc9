"""Bounds on what a page can make this server hold."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, times in seconds; each can be set where a Proxy is made."""

    #: One WebSocket message of an authenticated page, in bytes.
    message_bytes: int = 32 * 2**20
    #: One WebSocket message of a page that has not said its token yet, in bytes.
    hello_bytes: int = 4096
    #: Seconds in which a new WebSocket must say its token.
    hello_s: float = 10
    #: Shared memory for tensors on their way, of all sessions together, in bytes.
    shared_memory_bytes: int = 8 * 2**30
    #: Events of a session that wait for their page, on disk, in bytes.
    event_log_bytes: int = 2**30
    #: The latest of them, in memory, in bytes.
    event_memory_bytes: int = 16 * 2**20
    max_sessions: int = 32
    #: Those of them that one page token has opened.
    max_sessions_per_token: int = 16
    #: A silent WebSocket is pinged so often; below the 60 s after which nginx cuts one.
    ping_every_s: float = 20
    #: Cells of a session that wait for their turn.
    max_queued: int = 100
    #: How long the code of a cell may run, in seconds; 0 for any time.
    max_cell_s: float = 0
    #: How long it may use the processors, in seconds of all of them together; 0 for any time.
    max_cell_cpu_s: float = 0
    #: What part of each GPU's memory torch may take in a kernel, up to 1; 0 for all there is.
    gpu_memory_share: float = 0
    #: A session in which nothing has run for so long is ended; 0 for never.
    cull_after_s: float = 3 * 86400
    #: The proxy ends when nothing has run in any session for so long; 0 for never.
    exit_when_idle_s: float = 0
