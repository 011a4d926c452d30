"""A production-like cluster: two Centrifugos on one Redis behind a load balancer, and incidents that are caused on it.

`python -m tests.cluster [CASE …]` (`make cluster`) causes them side by side, and prints what the monitor said of each,
what it booked, and what Alertmanager sent.
"""
