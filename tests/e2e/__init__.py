"""The whole chain: relay, monitor, Prometheus, Alertmanager and whoever is paged, all of them real."""
