"""A relay inside this process, with the production namespaces: for a first look, for tests, for `url: embedded`.

`namespaces` says which channels there are and what is kept of them, `broker` keeps streams and subscribers, `session`
is one client's protocol without I/O (lines in, lines out), `server` the WebSocket around it. A line flows: socket →
`Session.receive` → `Broker` → every subscriber's `Session` → its socket. All that leaves a session goes through one
place, `Session.emit`.

`faults` says which faults there are, a `plan` decides when one strikes, `faulty` is a session that suffers them, and
`misbehaviour` does what no session can: doors that stay shut, frames that are none.
"""

from monitor.embedded.broker import Broker
from monitor.embedded.faults import Fault
from monitor.embedded.faults import parse as parse_fault
from monitor.embedded.namespaces import PRODUCTION, Namespace
from monitor.embedded.plan import FaultPlan, InjectedFault
from monitor.embedded.server import EmbeddedRelay

__all__ = ["PRODUCTION", "Broker", "EmbeddedRelay", "Fault", "FaultPlan", "InjectedFault", "Namespace", "parse_fault"]
