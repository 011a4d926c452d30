"""Names of the series that `verdicts` records."""

from __future__ import annotations

from typing import Final

SETTINGS: Final = "relay:settings"
UP_VOTE: Final = "relay:up:vote"
ACCEPTING_VOTE: Final = "relay:accepting:vote"
UP_RATIO: Final = "relay:up:ratio"
ACCEPTING_RATIO: Final = "relay:accepting:ratio"
SEEN_UP: Final = "relay:seen_up"
DOWN: Final = "relay:down"
NOT_ACCEPTING: Final = "relay:not_accepting"
OUTAGE: Final = "relay:outage"
REFUSAL: Final = "relay:refusal"
MAINTENANCE: Final = "relay:maintenance"
MEMBER_DOWN: Final = "relay:member_down"
GROUP_DOWN: Final = "relay:group_down"
