"""A year of many relays and locations: faults, what monitors make of them, and who is paged.

`kinds` has the kinds of fault, `plan` draws them, `observer` is one monitor at one relay, `exported` the series that
Prometheus scrapes, `simulate` evaluates the generated rules on them, and `score` compares the pages with the faults.
"""
