"""The chain from the relay to a page, with real programs: relay, monitor, Prometheus, Alertmanager, webhook."""
