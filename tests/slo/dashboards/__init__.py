"""The dashboards: their files, the linter's rules, and their expressions on a real Prometheus."""
