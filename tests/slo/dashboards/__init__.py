"""The dashboards: what they hold, whether they keep the linter's rules, and whether Prometheus answers."""
