"""The Mobile Wallet Protocol, without any I/O: what a dApp and a wallet say to each other through a relay.

`Dapp` and `Wallet` are the two sides, each a `Peer`: the relay's events and the time go in, `actions` (what to ask of
the relay) and `notices` (what happened) come out. Below them: `crypto` (ECIES), `envelope` (what is published),
`inbox` (de-duplication and history replay), `outbox` (one message at a time, with retries), `messages`, `request`
(the QR code), `store` (what survives a restart). Whoever owns the relay connection drives it: see `relay/end.py`.
"""
