"""Execution of one bounded run: always ends, and never raises for what the relay did."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from monitor.errors import ProbeError
from monitor.wire.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.pairs.context import ProbeContext, RunRecorder
    from monitor.reachability.persistent import PersistentPairs
    from monitor.results import Run

RUN_MARGIN: Final = 2.0
"""Seconds beyond a run's own deadlines and diagnoses after which it is cancelled, so that no fault can make it hang."""

ADMISSION_TIMEOUT: Final = 60.0
"""Seconds for which a bounded run waits for the relay's limits, which are those of a minute."""

REBUILD_BACKOFF: Final = Backoff(minimum=1.0)
"""Between attempts to replace a pair or connection that the relay has terminated or never accepted: slower than the
client's own reconnects, since each attempt is a whole connect against the relay's limits."""


class Probe(Protocol):
    """A scenario as a bounded run."""

    async def run(self, context: ProbeContext, recorder: RunRecorder) -> None:
        """Run the scenario once and record it. Raises `ProbeError` if it cannot go on; the remaining exchanges fail."""


@runtime_checkable
class ContinuousProbe(Probe, Protocol):
    """A scenario that can also run continuously."""

    async def serve(self, context: ProbeContext, pairs: PersistentPairs) -> None:
        """Run until cancelled and publish one `Run` a slot; enter persistent pairs in `pairs`. Never raises."""


async def wait_for_admission(context: ProbeContext) -> None:
    """Wait until the rate limits allow one run, and acquire its message permits."""
    while not context.admits(*context.probe.volume.cost):  # noqa: ASYNC110 - permits become available with time, not by an event
        await asyncio.sleep(1)


async def run_slot(probe: Probe, context: ProbeContext) -> None:
    """Make the run of a slot that is due now; publish the slot as untried if limits forbid the run for too long."""
    due = context.clock.monotonic()
    try:
        async with asyncio.timeout(0 if context.admission.connects.paused else ADMISSION_TIMEOUT):
            await wait_for_admission(context)
    except TimeoutError:
        context.publish_untried(due)
    else:
        await execute(probe, context)


async def execute(probe: Probe, context: ProbeContext) -> Run:
    """Run `probe` once, publish the run and return it. If cancelled, publish it as aborted and re-raise."""
    recorder = context.recorder()
    aborted = ""
    try:
        allowed = context.probe.deadline + context.probe.exchanges * context.probe.diagnosis_timeout + RUN_MARGIN
        async with asyncio.timeout(allowed):
            await probe.run(context, recorder)
    except ProbeError as error:
        recorder.fail(error, times=missing(context, recorder))
    except asyncio.CancelledError:
        aborted = "stopped"
        raise
    except TimeoutError:
        aborted = "the run exceeded its deadlines"
        recorder.log("error", "run aborted", why=aborted, repeats=True)
    except Exception as bug:  # noqa: BLE001 - a fault of this program aborts the run
        aborted = "a fault in this program"
        recorder.log("exception", "run aborted", why=aborted, repeats=True)
        context.on_bug(bug)
    finally:
        if aborted:
            recorder.abort(times=missing(context, recorder))
        run = recorder.finish(aborted=aborted)
        context.publish(run)
    return run


@contextmanager
def published_slot(context: ProbeContext, recorder: RunRecorder) -> Iterator[None]:
    """Publish the run of a slot of a continuous probe at the end of the block.

    A fault of this program in it aborts the run, and does not leave the block: the loop over the slots goes on.
    """
    aborted = ""
    try:
        yield
    except asyncio.CancelledError:
        aborted = "stopped"
        raise
    except Exception as bug:  # noqa: BLE001 - see above
        aborted = "a fault in this program"
        recorder.log("exception", "slot aborted", why=aborted, repeats=True)
        context.on_bug(bug)
    finally:
        if aborted:
            recorder.abort()
        context.publish(recorder.finish(aborted=aborted))


def missing(context: ProbeContext, recorder: RunRecorder) -> int:
    """Return the number of exchanges that a run, ended early, did not make."""
    return max(0, context.probe.volume.exchanges - len(recorder.exchanges))
