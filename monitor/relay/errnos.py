"""What an error of the operating system's sockets means, and whose fault it is."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from monitor.errors import LocalError, ProbeError
from monitor.vocabulary import Reason

if TYPE_CHECKING:
    from monitor.vocabulary import Step

_THEIRS: Final = {
    errno.ECONNREFUSED: Reason.REFUSED,
    errno.EHOSTUNREACH: Reason.UNREACHABLE,
    errno.ETIMEDOUT: Reason.TIMEOUT,
    errno.ECONNRESET: Reason.RESET,
    errno.EPIPE: Reason.RESET,
    errno.ECONNABORTED: Reason.RESET,
}
# The kernel answers these itself: no packet of ours got anywhere near the relay.
_NO_ROUTE: Final = {errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
_FORBIDDEN: Final = {errno.EPERM, errno.EACCES}
_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def is_ours(error: OSError) -> bool:
    """Whether the fault lies on this machine, so that the relay must not be blamed."""
    return error.errno in _NO_ROUTE | _FORBIDDEN | _EXHAUSTED


def obstacle_of(step: Step, error: OSError, where: str = "") -> ProbeError:
    """The obstacle an error at `step` means: an `LocalError` where it is ours. `where` is the address, for people."""
    what = os.strerror(error.errno) if error.errno else str(error)
    if where:
        what = f"{where}: {what}"
    if error.errno in _NO_ROUTE:
        return LocalError(step, Reason.UNREACHABLE, f"no route from here: {what}")
    if error.errno in _FORBIDDEN:
        return LocalError(step, Reason.UNREACHABLE, f"this machine forbids it: {what}")
    if error.errno in _EXHAUSTED:
        return LocalError(step, Reason.INTERNAL, f"this machine is out of resources: {what}")
    return ProbeError(step, _THEIRS.get(error.errno or 0, Reason.UNREACHABLE), what)
