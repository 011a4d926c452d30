"""The asyncio edge: the only place that knows sockets.

`target` says where a relay is, `transport` opens a WebSocket to it phase by phase, `client` drives `wire.Connection`
over that, `end` ties a client to one side of the wallet protocol, `limits` keeps to what the relay allows, and
`obstacles` turns what a relay did into the catalogue's words. Data flows: bytes → frame → event → wallet protocol →
what a probe waits for, in one synchronous pass.
"""
