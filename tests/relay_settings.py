"""Settings that each kind of relay in the tests can have, as its flags or configuration."""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """Settings of a relay, times in seconds. History is that of `session` channels. The defaults are production's."""

    history_size: int = 20
    history_ttl: int = 300
    ping_interval: float = 25.0
    pong_timeout: float = 8.0
    stale_timeout: float = 10.0
    token_key: str | None = None  # key of the connect token; None for a relay that takes no token

    @property
    def token(self) -> str | None:
        """The connect token."""
        return None if self.token_key is None else signed_token(self.token_key)


def signed_token(key: str, **claims: int) -> str:
    """Return a connect token of the anonymous user, with more claims: a JWT, signed with a key by HMAC-SHA256."""

    def encoded(part: bytes) -> str:
        return base64.urlsafe_b64encode(part).rstrip(b"=").decode()

    parts = {"alg": "HS256", "typ": "JWT"}, {"sub": ""} | claims
    signed = ".".join(encoded(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{encoded(hmac.digest(key.encode(), signed.encode(), 'sha256'))}"


def _seconds(value: float) -> str:
    return f"{round(value * 1000)}ms"


def engine_flags(settings: RelaySettings) -> list[str]:
    """Return the flags of the engine for these settings."""
    flags = [
        *("-history-size", str(settings.history_size)),
        *("-history-ttl", f"{settings.history_ttl}s"),
        *("-ping-interval", _seconds(settings.ping_interval)),
        *("-pong-timeout", _seconds(settings.pong_timeout)),
        *("-stale-timeout", _seconds(settings.stale_timeout)),
    ]
    return flags if settings.token is None else [*flags, "-token", settings.token]


def centrifugo_config(settings: RelaySettings, port: int) -> dict[str, object]:
    """Return the configuration of Centrifugo 6 for these settings."""
    allowed = {
        f"allow_{what}_for_{whom}": True
        for what in ("subscribe", "publish", "history")
        for whom in ("client", "anonymous")
    }
    regex = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
    return {
        "http_server": {"address": "127.0.0.1", "port": port},
        "client": {
            "allowed_origins": ["*"],
            "allow_anonymous_connect_without_token": True,
            "ping_interval": _seconds(settings.ping_interval),
            "pong_timeout": _seconds(settings.pong_timeout),
            "stale_close_delay": _seconds(settings.stale_timeout),
            **({} if settings.token_key is None else {"token": {"hmac_secret_key": settings.token_key}}),
        },
        "channel": {
            "namespaces": [
                {
                    "name": name,
                    "channel_regex": regex,
                    "history_size": size,
                    "history_ttl": f"{ttl}s",
                    "force_positioning": size > 0,
                    "force_recovery": size > 0,
                    **allowed,
                }
                for name, size, ttl in (("handshake", 5, 300), ("session", settings.history_size, settings.history_ttl))
            ]
        },
        "health": {"enabled": True},
        "prometheus": {"enabled": True},
    }
