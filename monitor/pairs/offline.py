"""Offline delivery: messages to a disconnected wallet, which a new wallet gets from the channel's history."""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING

import structlog

from monitor.errors import LocalError, ProbeError, RateLimitedError
from monitor.pairs import payloads
from monitor.pairs.tracker import CORRUPTED, OVERTAKEN, fate
from monitor.results import Exchange
from monitor.vocabulary import Outcome, Reason, Step

if TYPE_CHECKING:
    from monitor.pairs.ledger import Message
    from monitor.pairs.pair import Pair
    from monitor.wire.backoff import Backoff

_log = structlog.get_logger(__name__)


class OfflineDelivery:
    """One absence of a pair's wallet: `send`, then `recover`, then `record_fates` and `finish` whatever came of it."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._context = pair.context
        self._clock = pair.context.clock
        self._messages: list[Message] = []
        self._ids: list[str] = []
        self._epoch: str | None = None  # of the stream that stores the messages
        self._returned = False  # whether the wallet was due to come back

    async def send(self, count: int) -> None:
        """Drop the wallet's connection and send `count` messages, each once the relay accepted the one before.

        Raises `ProbeError`.
        """
        pair = self._pair
        pair.wallet.abort()  # as a phone that loses its network: no close frame
        tracker, dapp = pair.tracker, pair.dapp
        tracker.received_ids.clear()
        self._epoch = dapp.epochs.get(tracker.channel or "")
        deadline = self._clock.monotonic() + self._context.probe.timeout
        for number in range(1, count + 1):
            payload = payloads.request(pair.recorder.run_id, number)
            # The deadline of its arrival is known once the wallet comes back.
            in_flight = pair.send("offline", payload, self._clock.monotonic(), inf)
            try:
                await dapp.wait(in_flight.accepted, deadline, Step.PUBLISH)
            finally:
                tracker.awaited = None
                if in_flight.message is not None:
                    self._messages.append(in_flight.message)
            self._ids.append(payload["id"])

    async def recover(self, intended: float, timeout: float, *, retry: Backoff | None = None) -> None:
        """Resume with a new wallet and record whether all messages arrived: once, in order, within `timeout` seconds.

        Timed from `intended`, or from now if a timer fired early. A wallet that the relay rejects is followed by
        another one if `retry` is given. Raises `ProbeError`, that of the last wallet.
        """
        self._returned = True
        pair, recorder = self._pair, self._pair.recorder
        now = self._clock.monotonic()
        resumed_at, deadline = min(intended, now), now + timeout
        self._set_deadline(deadline)
        expected = set(self._ids)
        try:
            await self._resume(expected, deadline, retry)
        except ProbeError as error:
            if error.step is Step.RECOVER and error.reason is Reason.SILENT:
                raise (await self._diagnose()).noticed_by("wallet") from None
            raise
        received = pair.tracker.received_ids
        order = [name for name, _ in received if name in expected]
        recorder.mark("wallet", Step.RECOVER, resumed_at, received[-1][1])
        if len(order) != len(self._ids):
            detail = f"{len(order)} messages for the {len(self._ids)} that were sent"
            raise ProbeError(Step.RECOVER, Reason.DUPLICATED, detail)
        if order != self._ids:
            raise ProbeError(Step.RECOVER, Reason.REORDERED, "not in the order they were sent")
        arrived = max(at for name, at in received if name in expected)
        recovery, ended = arrived - resumed_at, arrived - recorder.started
        recorder.exchanges.append(Exchange(outcome=Outcome.OK, recovery=recovery, ended=ended))

    async def _resume(self, expected: set[str], deadline: float, retry: Backoff | None) -> None:
        """Resume one wallet after another until one has all that is `expected`. Raises `ProbeError`."""
        pair, clock = self._pair, self._clock
        received = pair.tracker.received_ids
        failures = 0
        while True:
            try:
                await pair.resume_wallet(deadline)
                await pair.wallet.wait(lambda: expected <= {name for name, _ in received}, deadline, Step.RECOVER)
            except ProbeError as error:
                # What a connected wallet did not get, another one will not get either.
                if retry is None or isinstance(error, LocalError) or pair.wallet.ready:
                    raise
                pause = retry.delay(failures, self._context.rng)
                if isinstance(error, RateLimitedError):
                    pause = max(pause, error.retry_after)
                if clock.monotonic() + pause >= deadline:
                    raise
            else:
                return
            failures += 1
            await asyncio.sleep(pause)

    def _set_deadline(self, deadline: float) -> None:
        """Set the time by which all messages must arrive."""
        for message in self._messages:
            message.deadline = deadline
            message.horizon = deadline + self._context.probe.timeout

    async def _diagnose(self) -> ProbeError:
        """Return why the wallet did not get every message, and record what became of the missing ones."""
        missing = [message for message in self._messages if message.arrived_at is None]
        error = self._why_missing(missing)
        await self._pair.diagnose(error, missing)
        return error

    def _why_missing(self, missing: list[Message]) -> ProbeError:
        if any(message.corrupted for message in self._messages):
            return ProbeError(Step.RECOVER, Reason.CORRUPTED, CORRUPTED)
        if missing:
            stored = sum(message.in_history is not False for message in missing)
            if stored:
                detail = f"{stored} of {len(self._messages)} not recovered, and not known to be lost"
                return ProbeError(Step.RECOVER, Reason.UNRECOVERED, detail)
            detail = f"{len(missing)} of {len(self._messages)} not in the history"
            if self._epoch not in {None, self._pair.wallet.epochs.get(self._pair.tracker.channel or "")}:
                return ProbeError(Step.RECOVER, Reason.EPOCH_CHANGED, f"{detail}; the stream has a new epoch")
            return ProbeError(Step.RECOVER, Reason.LOST, detail)
        if any(message.overtaken for message in self._messages):
            return ProbeError(Step.RECOVER, Reason.REORDERED, OVERTAKEN)
        return ProbeError(Step.RECOVER, Reason.WRONG_PEER, "all arrived, and the wallet protocol did not accept them")

    def record_fates(self) -> None:
        """Record the fates of the messages with the run; those without a deadline get one that starts now."""
        now = self._clock.monotonic()
        for message in self._messages:
            if message.deadline == inf:
                message.deadline, message.horizon = now, now + self._context.probe.timeout
            self._pair.recorder.fates.append(fate(message, self._pair.recorder))

    def finish(self, *, refused: bool) -> None:
        """Leave the relay without counting as lost what the relay stored; `refused`: the relay ended the run."""
        pair = self._pair
        if pair.wallet.ready or (refused and self._returned):
            pair.retire()
        elif refused:
            self._context.background(self._collect())
        else:
            pair.close()  # this program sent no wallet, so the fate of the messages is unknown

    async def _collect(self) -> None:
        """Let a new wallet get what the relay stored, then leave. For a run that ended before its wallet returned."""
        deadline = self._clock.monotonic() + self._context.probe.timeout
        self._set_deadline(deadline)
        leave = self._pair.close  # without a wallet, the fate of the messages is unknown
        try:
            await self._pair.resume_wallet(deadline)
            leave = self._pair.retire
        except LocalError as error:
            _log.info("stored messages not collected", **error.log_fields(), repeats=True)
        except ProbeError:
            leave = self._pair.retire
        finally:
            leave()
