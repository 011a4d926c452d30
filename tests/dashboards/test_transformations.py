from __future__ import annotations

from typing import Any

from tests.dashboards.frames import Frame, Response
from tests.dashboards.transformations import Row, table_of


def response(ref: str, *series: tuple[dict[str, str], float | None]) -> Response:
    frames = tuple(Frame("", labels, (100.0,), (value,), ref) for labels, value in series)
    return Response({"refId": ref}, "", None, frames)


def panel(*transformations: dict[str, Any], targets: int = 2, **options: Any) -> dict[str, Any]:
    return {"targets": [{}] * targets, "transformations": list(transformations), "options": options}


MERGE = {"id": "merge", "options": {}}


def without_time(rows: list[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if name != "Time"} for row in rows]


def test_rows_with_the_same_labels_become_one() -> None:
    up = response("A", ({"relay": "a"}, 1.0), ({"relay": "b"}, 0.0))
    lost = response("B", ({"relay": "b"}, 7.0), ({"relay": "c"}, 2.0))
    table = table_of(panel(MERGE), [up, lost])
    assert without_time(table.rows) == [
        {"relay": "a", "Value #A": 1.0},
        {"relay": "b", "Value #A": 0.0, "Value #B": 7.0},
        {"relay": "c", "Value #B": 2.0},
    ]


def test_a_label_that_one_result_lacks_does_not_separate_rows() -> None:
    up = response("A", ({"relay": "a"}, 1.0))
    cause = response("B", ({"relay": "a", "reason": "refused"}, 1.0))
    rows = without_time(table_of(panel(MERGE), [up, cause]).rows)
    assert rows == [{"relay": "a", "reason": "refused", "Value #A": 1.0, "Value #B": 1.0}]


def test_an_empty_result_changes_nothing() -> None:
    up = response("A", ({"relay": "a"}, 1.0))
    assert without_time(table_of(panel(MERGE), [up, response("B")]).rows) == [{"relay": "a", "Value #A": 1.0}]


def test_columns_are_ordered_renamed_and_hidden() -> None:
    organize = {
        "id": "organize",
        "options": {
            "excludeByName": {"Time": True},
            "indexByName": {"Value": 0, "relay": 1},
            "renameByName": {"Value": "state"},
        },
    }
    table = table_of(panel(organize, targets=1), [response("A", ({"relay": "a"}, 1.0))])
    assert [table.heading(column) for column in table.columns] == ["state", "relay"]


def test_the_first_column_to_sort_by_decides() -> None:
    rows = response("A", ({"relay": "a"}, 1.0), ({"relay": "b"}, 4.0), ({"relay": "c"}, 4.0), ({"relay": "d"}, None))
    order = [{"displayName": "Value", "desc": True}, {"displayName": "relay", "desc": True}]
    table = table_of(panel(targets=1, sortBy=order), [rows])
    assert [row["relay"] for row in table.rows] == ["c", "b", "a", "d"]


def test_an_unknown_transformation_is_reported() -> None:
    assert table_of(panel({"id": "groupBy"}, targets=1), [response("A")]).unknown == ["groupBy"]
