"""A relay inside this process, with the production namespaces: for `url: embedded`, a first look, and tests.

`namespaces` lists the channels, `broker` keeps streams and subscribers, `session` is the server side of one connection
without I/O, and `server` is the WebSocket server. A line flows from a socket to `Session.receive`, `Broker`, each
subscriber's `Session.emit`, and its socket.

`faults` defines the faults that can be injected, `plan` decides when one applies, `faulty` is a session that injects
them, and `raw_faults` injects those below the protocol.
"""

from monitor.embedded.broker import Broker
from monitor.embedded.faults import Fault
from monitor.embedded.faults import parse as parse_fault
from monitor.embedded.namespaces import PRODUCTION, Namespace
from monitor.embedded.plan import FaultPlan, InjectedFault
from monitor.embedded.server import EmbeddedRelay

__all__ = ["PRODUCTION", "Broker", "EmbeddedRelay", "Fault", "FaultPlan", "InjectedFault", "Namespace", "parse_fault"]
