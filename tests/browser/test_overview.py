"""The overview page in each kind of trouble, and while a relay fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.troubles import CONDITIONS
from tests.browser.views import DESKTOP, PHONE, picture

if TYPE_CHECKING:
    from tests.browser.troubles import Troubles
    from tests.browser.views import Scheme, Views

pytestmark = [pytest.mark.required_counterpart("Chromium"), pytest.mark.alone]

SIZES = {"desktop": DESKTOP, "phone": PHONE}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_kind_of_trouble_is_legible(troubles: Troubles, views: Views, size: str, scheme: Scheme) -> None:
    with views.open(troubles.daemon.url, SIZES[size], scheme) as page:
        picture(page, f"troubles-{size}-{scheme}")
        picture(page, f"troubles-{size}-{scheme}-whole", full_page=True)
        text = page.inner_text("body")
        for name in CONDITIONS:
            assert name in text
