"""Incidents over reloads, by the daemon itself."""

from __future__ import annotations

from monitor.embedded import FaultPlan, parse_fault
from monitor.incidents import EntryKind
from tests.daemon.harness import page, shown, until
from tests.daemon.reloading import ONE, TWO, running


async def test_a_reload_continues_an_incident_and_a_removal_closes_it() -> None:
    async with running(TWO) as made:
        await made.delivers("two")
        monitor = made.monitor
        embedded = monitor.monitored_relays.relays["two"].embedded
        assert embedded is not None
        embedded.plan = FaultPlan([parse_fault("status:code=503")])
        embedded.disconnect_all(3001)
        await until(lambda: "two" in monitor.incidents.current(), 60)
        incident = monitor.incidents.current()["two"]
        assert shown(monitor, "relay_incident_open", relay="two") == 1
        assert shown(monitor, "relay_incident_open", relay="one") == 0
        assert shown(monitor, "relay_monitor_incidents_total") == 1

        await made.reload(("timeout: 2s}\n  - {name: idle", "timeout: 3s}\n  - {name: idle"))
        reloaded = monitor.incidents.current()["two"]
        (entry,) = (entry for entry in reloaded.entries if entry.kind is EntryKind.RELOAD)
        assert reloaded.id == incident.id
        assert "timeout" in entry.text
        assert entry.fields["configHash"] == monitor.config_hash
        assert shown(monitor, "relay_incident_open", relay="two") == 1

        made.text = ONE
        await made.reload()
        closed = monitor.incidents.get(incident.id)
        assert closed is not None
        assert (closed.is_open, closed.closed_because) == (False, "no longer watched")
        assert monitor.incidents.current() == {}
        assert ("relay", "two") not in {label for _, labels in page(monitor, "relay_incident_open") for label in labels}
