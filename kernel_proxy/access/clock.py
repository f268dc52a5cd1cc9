"""How long ago something was, on a machine whose clock may be put right and that may start anew."""

import time
from pathlib import Path

#: Two moments with the same one lie between two starts of the machine (Linux).
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def now() -> dict[str, float | str]:
    """Return this moment, for `passed` of a later process."""
    moment: dict[str, float | str] = {"wall": time.time()}
    if hasattr(time, "CLOCK_BOOTTIME") and _BOOT_ID.exists():
        # Counts the time that the machine sleeps, and nobody can set it.
        moment["up"] = time.clock_gettime(time.CLOCK_BOOTTIME)
        moment["boot"] = _BOOT_ID.read_text().strip()
    return moment


def passed(then: dict, now: dict) -> float:
    """Return the seconds from `then` to `now`; negative if `then` is not yet.

    By the clock that nobody sets as long as the machine has not started anew, and else by the other.
    """
    if "boot" in then and then["boot"] == now.get("boot"):
        return now["up"] - then["up"]
    return now["wall"] - then["wall"]
