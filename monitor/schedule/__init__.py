"""When things run: the schedule of the bounded probes, maintenance windows, and the watch over the clocks.

`crontab` turns a crontab line into moments; `slots` turns a configured schedule into slots and counts them;
`jobs` starts runs at their slots, on APScheduler. `maintenance` says whether a relay is being worked on;
`watch` notices a stepped wall clock and a lagging event loop. Nothing here knows what a probe does.
"""

from monitor.config.crontab import Crontab
from monitor.schedule.jobs import Schedule
from monitor.schedule.maintenance import Maintenance, Window
from monitor.schedule.slots import longest_gap
from monitor.schedule.watch import ClockWatch, LoopLag

__all__ = ["ClockWatch", "Crontab", "LoopLag", "Maintenance", "Schedule", "Window", "longest_gap"]
