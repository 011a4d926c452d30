"""A dApp and a wallet with a session between them.

`pair` holds two `participant`s, each a peer of the wallet protocol with its relay client, and the `tracker` they report
to, which matches what was sent with what arrived in the `ledger`. `admission` has the relay's limits and endpoints,
`context` what a probe works with, `offline` delivery to an absent wallet, `diagnosis` why a message was lost.
"""
