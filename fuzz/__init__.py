"""Fuzzing of the parsers of foreign bytes: `python -m fuzz TARGET SECONDS`, or `make fuzz TIME=60` for all.

`targets` has one function for each target; an exception is a finding. Findings are stored in `findings/TARGET/`, one
file each, and are regression tests.
"""
