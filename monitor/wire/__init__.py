"""The Centrifuge client protocol (JSON form), without I/O.

`Connection` is the state machine of one connection: text frames and times go in, `Event` values and text frames come
out. `commands` and `events` are its values, `codes` the protocol's numbers, `framing` the JSON, `backoff` the delays
between reconnects. The owner of the socket, `relay/client.py`, drives it.
"""
