"""Values for the Helm chart: a configuration with its rules and dashboards, in one file.

Helm cannot run `generate`. The file has the configuration twice: `config` is what the pods get, `generated.config` what
the rules were generated from. The chart compares the two, so that no configuration gets the rules of another one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from monitor.config.written import written
from monitor.slo import dashboards
from monitor.slo.rules import rules_spec
from monitor.slo.rules.rule import dump

if TYPE_CHECKING:
    from monitor.config import Config

VALUES_FILE: Final = "relay-monitor.values.yaml"

OWN_KEYS: Final = ("journal", "location", "server", "state_dir")
"""Keys that may differ between the pods and the rules.

Of `location`, only links depend on it: alerts about no location lead to the pages of this one.
"""


def chart_files(config: Config, text: str, filename: str) -> dict[str, bytes]:
    """Return the file of values by its path. `config` was loaded from `text`, the content of `filename`."""
    own = written(text, filename)
    values = {
        "config": own,
        "generated": {
            "config": {key: value for key, value in own.items() if key not in OWN_KEYS},
            "rules": rules_spec(config),
            "dashboards": {
                name.rpartition("/")[2]: _compact(content)
                for name, content in dashboards.files(config).items()
                if name.endswith(".json")
            },
        },
    }
    return {VALUES_FILE: dump(values)}


def _compact(content: bytes) -> str:
    return json.dumps(json.loads(content), separators=(",", ":"), ensure_ascii=False)
