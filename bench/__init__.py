"""How much the monitor adds to what it measures: ratios against programs that do the same with nothing else.

`python -m bench` starts one relay and runs everything against it. `ours` is the monitor's own clients, `floor` two bare
sockets, `minimal` the leanest client with the same frames, JSON and encryption. Each is a process of its own.
"""
