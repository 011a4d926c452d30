"""Fuzzing what reads bytes that others wrote: `python -m fuzz TARGET SECONDS`, or `make fuzz TIME=60` for all.

`targets` has one function a target; whatever it raises is a finding. Findings are kept in `findings/TARGET/`, one file
each, and played again by the tests.
"""
