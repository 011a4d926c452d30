"""Drills with real programs: a monitor, Prometheus and Alertmanager with the generated files, whole or cut."""
