"""Pages in the field: faults of many relays, measured from the webhook and from scrapes, with production intervals.

`faults` has the kinds of faults of relays and what is promised for each, `locations` those that concern a location or a
monitor, `runner` starts all programs and causes the faults side by side, and `report` computes times from what was
received. `python -m tests.field [KIND …]` (`make field`) prints the table.
"""
