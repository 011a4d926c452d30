"""When probes run: schedules, maintenance windows, and the checks of both clocks.

`grid` has the slots of a fixed period and waits for them, for continuous probes; `slots` has those of a configured
`every` or cron schedule; `jobs` starts bounded runs at them, on APScheduler. `maintenance` answers whether a relay is
in a maintenance window; `on_demand` has the windows that operators start, and `window` is one of either kind. `watch`
detects a stepped wall clock and a lagging event loop.
"""

from monitor.config.crontab import Crontab
from monitor.schedule.jobs import Schedule
from monitor.schedule.maintenance import Maintenance
from monitor.schedule.on_demand import OnDemandWindows
from monitor.schedule.watch import ClockWatch, LoopLag
from monitor.schedule.window import Window

__all__ = ["ClockWatch", "Crontab", "LoopLag", "Maintenance", "OnDemandWindows", "Schedule", "Window"]
