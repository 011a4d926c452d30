"""Connections to a relay. Only `dial` opens them.

`target` describes a relay's address, `dial` opens a connection in timed phases (`resolve`, `proxy`, `tls`, `upgrade`),
`transport` is the WebSocket, `client` drives `wire.Connection` over it, `endpoint` and `rate_limit` admit connects,
`obstacles` maps what went wrong to (step, reason), and `redaction` removes secrets from a relay's texts.

Bytes become frames and frames become events in one synchronous pass.
"""
