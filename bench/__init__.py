"""Benchmarks: what the monitor costs, and how exact its figures are.

`python -m bench` starts one relay and compares `persistent_pairs`, the monitor's own clients, with two smaller
programs: `bare_sockets`, without any library, and `minimal_client`, with the same frames, JSON and encryption and
nothing else. Each runs in a process of its own.
"""
