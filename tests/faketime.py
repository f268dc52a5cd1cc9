"""The library that gives a process a clock of its own, https://github.com/wolfcw/libfaketime."""

import glob

#: Its path as Debian and Ubuntu have it; None where it is not installed.
LIBRARY = next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)
