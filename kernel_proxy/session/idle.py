"""Ends what nobody uses: sessions (`--cull-after`), and the proxy (`--exit-when-idle`)."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..limits import Limits
from .state import State

if TYPE_CHECKING:
    from .session import Session
    from .sessions import Sessions

#: How long before its end a page is told, in seconds; half of a limit that is shorter than twice it.
WARNING_S = 600
#: Ended sessions that are remembered, the newest.
MAX_ENDED = 200


class Idle:
    """Calls `act` when nothing has happened for `after_s` seconds; never if that is 0.

    `busy()` says whether something goes on now that has no end yet. `warn` is called WARNING_S before.
    `above` is an Idle for which this one's activity counts too.
    """

    def __init__(
        self,
        after_s: float,
        busy: Callable[[], bool],
        act: Callable[[], None],
        warn: Callable[[], None],
        above: "Idle | None" = None,
    ):
        self.after_s = after_s
        self.warning_s = min(WARNING_S, after_s / 2)
        self._busy, self._act, self._warn, self._above = busy, act, warn, above
        # The loop's clock, which nobody puts right.
        self._since = time.monotonic()
        self._not_before = 0.0
        self._warned = False
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def begin(self, quiet_s: float = 0) -> None:
        """Count from now on; nothing has happened for `quiet_s` seconds already. There is always the
        time for a warning."""
        now = time.monotonic()
        self._since, self._not_before = now - quiet_s, now + self.warning_s
        self._warned = False
        self._arm()

    def touch(self) -> None:
        """Something has happened."""
        self._since = time.monotonic()
        if self._timer is None or self._warned:
            self._warned = False
            self._arm()
        if self._above:
            self._above.touch()

    def remind(self) -> None:
        """Warn again if the end is near: somebody has come who has not heard of it."""
        if self._warned:
            self._warn()

    @property
    def is_over(self) -> bool:
        """True when it is time for `act`."""
        return not self._busy() and self.left_s <= 0

    @property
    def quiet_s(self) -> float:
        """Seconds since the last time that something happened."""
        return time.monotonic() - self._since

    @property
    def left_s(self) -> float:
        """Seconds until the end if nothing happens."""
        return max(self._since + self.after_s, self._not_before) - time.monotonic()

    def close(self) -> None:
        """Call nothing any more."""
        self._closed = True
        if self._timer:
            self._timer.cancel()
        # It may have been what kept the other one.
        if self._above:
            self._above.touch()

    def _arm(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = None
        if self._closed or not self.after_s:
            return
        delay = self.left_s - (0 if self._warned else self.warning_s)
        self._timer = asyncio.get_running_loop().call_later(max(0.0, delay), self._look)

    def _look(self) -> None:
        self._timer = None
        if self._busy():
            # Its end is an activity, which begins the time anew.
            return
        if self.is_over:
            self._act()
        elif self._warned or self.left_s > self.warning_s:
            self._arm()
        else:
            self._warned = True
            self._warn()
            self._arm()


def moment(seconds_ago: float) -> dict[str, float]:
    """Return a moment for a later process on this machine, which asks `seconds_since`."""
    return {
        "wall": time.time() - seconds_ago,
        "monotonic": time.monotonic() - seconds_ago,
    }


def seconds_since(moment: dict[str, float] | None) -> float:
    """Return how many seconds ago a moment was, 0 if that is not known.

    By the clock that says less: the one may have been put right meanwhile, the other began anew if
    the machine did, and then no kernel is left.
    """
    if not moment:
        return 0.0
    passed = time.time() - moment["wall"], time.monotonic() - moment["monotonic"]
    return max(0.0, min(passed))


class Ended:
    """Why sessions were ended, for pages that come back to them; with the state, over restarts."""

    def __init__(self, state: State):
        self._state = state
        self._why: dict[str, str] = state.load("ended") or {}

    def add(self, identifier: str, why: str) -> None:
        """Remember the sentence about a session."""
        self._why[identifier] = why
        while len(self._why) > MAX_ENDED:
            del self._why[next(iter(self._why))]
        self._save()

    def get(self, identifier: str) -> str | None:
        """Return the sentence about a session; None if it was not ended."""
        return self._why.get(identifier)

    def forget(self, identifier: str) -> None:
        """A page was told, and has a new session under the old name."""
        if self._why.pop(identifier, None) is not None:
            self._save()

    def _save(self) -> None:
        # Where the disk is full only a later proxy does not know of it.
        with contextlib.suppress(OSError):
            self._state.save("ended", self._why)


class Culling:
    """Ends idle sessions, and calls `leave` to end an idle proxy."""

    def __init__(
        self, sessions: "Sessions", limits: Limits, state: State, leave: Callable[[str], None]
    ):
        self.ended = Ended(state)
        self._sessions = sessions
        self._cull_after_s = limits.cull_after_s
        self._leave = leave
        self.proxy = Idle(limits.exit_when_idle_s, self._any_busy, self._exit, self._warn_all)

    def watch(self, session: "Session") -> Idle:
        """Return the Idle of a session."""

        def end_soon() -> None:
            session.run(self._end(session))

        def warn() -> None:
            _warn(session, "This session", session.idle, "--cull-after")

        return Idle(self._cull_after_s, lambda: session.is_busy, end_soon, warn, self.proxy)

    async def _end(self, session: "Session") -> None:
        # A request may have come since the timer ran out.
        if not session.idle.is_over:
            return
        why = (
            f"This notebook's session was ended by the server at {datetime.now(UTC):%Y-%m-%d %H:%M} "
            f"UTC, because nothing had run in it for {duration(session.idle.after_s)} "
            "(--cull-after); its variables are gone."
        )
        self.ended.add(session.id, why)
        session.dismiss(why)
        await self._sessions.end(session.id, "idle")

    def _any_busy(self) -> bool:
        return any(session.is_busy for session in self._sessions)

    def _warn_all(self) -> None:
        for session in self._sessions:
            _warn(session, "The server", self.proxy, "--exit-when-idle")

    def _exit(self) -> None:
        quiet = duration(self.proxy.after_s)
        for session in self._sessions:
            session.dismiss(
                f"The server has ended, because nothing had run there for {quiet} "
                "(--exit-when-idle); the variables of this notebook's session are gone."
            )
        self._leave(f"nothing has run here for {quiet} (--exit-when-idle)")


def _warn(session: "Session", what: str, idle: Idle, option: str) -> None:
    # A page that comes later would take the word for a fresh one.
    if session.listeners:
        text = (
            f"{what} ends in {duration(idle.left_s)}, because nothing has run there "
            f"for {duration(idle.quiet_s)} ({option}). Run any `%%torch` cell to keep it."
        )
        session.emit("iopub", "notice", {"text": text})


def duration(seconds: float) -> str:
    """Say a duration as a person does."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 1.95 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
