"""The Mobile Wallet Protocol between a dApp and a wallet, without I/O.

`Dapp` and `Wallet` are the two sides, each a `Peer`: events of the relay and times go in, `actions` for the connection
and `notices` for the application come out. Below them: `crypto` (ECIES), `envelope`, `messages`, `request` (the QR
code), `inbox` (de-duplication and history replay), `outbox` (retries) and `store` (persistent state). The owner of the
connection, `pairs/participant.py`, drives a peer.
"""
