"""What every test stands on: hypothesis' profiles, and counterparts that must be there under CI."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadline: the machine's load is not the code's fault. Under CI the same examples each time, so that red stays red.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "default")
