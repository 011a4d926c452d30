"""Forecasts of the alerts: simulated events, series and faults, judged by the generated rules."""
