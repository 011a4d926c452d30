"""The Centrifuge client protocol in its JSON form, without any I/O.

`Connection` is one client connection: text frames and the time go in, `Event` values and text frames come
out. `codes` names the protocol's numbers, `commands` what a client asks, `events` what it learns, `framing`
turns frames into objects, `backoff` says when to come back. Whoever owns the socket drives it: see `relay/client.py`.
"""
