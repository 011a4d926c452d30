"""One run of one probe, from its first connect to its `Run`: bounded, never raising for what the relay did."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

import structlog

from monitor.errors import ProbeError
from monitor.wire.backoff import Backoff

if TYPE_CHECKING:
    from monitor.pairs.context import ProbeContext, RunRecorder
    from monitor.reachability.persistent import PersistentPairs
    from monitor.results import Run

_log = structlog.get_logger(__name__)

GRACE = 2.0
"""Seconds past a run's own deadlines, and the autopsies of what was lost, after which it is ended from outside: nothing
hangs, not even a fault of ours."""


REBUILD_BACKOFF: Final = Backoff(minimum=1.0)
"""Between attempts to replace a pair or connection that the relay has terminated or never accepted: slower than the
client's own reconnects, since each attempt is a whole connect against the relay's limits."""


class Probe(Protocol):
    """A scenario as a bounded run. One file each in this package; `registry` names them all."""

    async def run(self, context: ProbeContext, recorder: RunRecorder) -> None:
        """Play the scenario once, booking with `recorder`. Raises `ProbeError` for what stops all that is left."""


@runtime_checkable
class ContinuousProbe(Probe, Protocol):
    """A scenario that can also run continuously."""

    async def serve(self, context: ProbeContext, pairs: PersistentPairs) -> None:
        """Run until cancelled and publish one `Run` a slot; enter persistent pairs in `pairs`. Never raises."""


async def wait_for_admission(context: ProbeContext) -> None:
    """Wait until the relay's limits leave room for one run, and take it. `check` refuses plans past the limits."""
    while not context.admits(*context.probe.volume.cost):  # noqa: ASYNC110 - permits come with time, not by an event
        await asyncio.sleep(1)


async def execute(probe: Probe, context: ProbeContext) -> Run:
    """Run `probe` once. Cancelled (a shutdown), it publishes the run as aborted before it lets the cancellation on.

    The run is published here, and nowhere else.
    """
    recorder = context.recorder()
    aborted = ""
    try:
        allowed = context.probe.deadline + context.probe.exchanges * context.probe.diagnosis_timeout + GRACE
        async with asyncio.timeout(allowed):
            await probe.run(context, recorder)
    except ProbeError as error:
        recorder.fail(error, times=missing(context, recorder))
    except asyncio.CancelledError:
        aborted = "stopped"
        raise
    except TimeoutError:
        aborted = "the run outlived its own deadlines"
        _log.error("run aborted", why=aborted, run_id=recorder.run_id, probe=context.probe.name)
    except Exception:  # noqa: BLE001 - a fault of ours is an aborted run, never the relay's and never the end
        aborted = "a fault in this program"
        _log.exception("run aborted", why=aborted, run_id=recorder.run_id, probe=context.probe.name)
    finally:
        if aborted:
            recorder.abort(times=missing(context, recorder))
        run = recorder.finish(aborted=aborted)
        context.publish(run)
    return run


def missing(context: ProbeContext, recorder: RunRecorder) -> int:
    """How many of its exchanges a run did not come to: they have failed for the cause that ended it."""
    return max(0, context.probe.volume.exchanges - len(recorder.exchanges))


def log_run(run: Run) -> None:
    """One line for a run that met an obstacle; good runs are in the journal and the metrics.

    For whoever takes what is published, once its outcome is final: only there it is known whether a failure counts.
    """
    failure = run.failure
    if failure is not None:
        _log.warning(
            f"run {run.outcome.value}",
            run_id=run.id,
            relay=run.relay,
            probe=run.probe,
            outcome=run.outcome.value,
            step=failure.step.value,
            reason=failure.reason.value,
            detail=failure.detail,
        )
