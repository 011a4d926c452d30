"""Tiers of tests: markers, the guard of unit tests, and phases."""

from __future__ import annotations

import pytest

from tests.phases import status_of
from tests.tiers import BROWSER

pytestmark = pytest.mark.integration

CONFIG = """
[pytest]
addopts = --strict-markers
asyncio_default_fixture_loop_scope = function
markers =
    unit: 1
    integration: 2
    slow: 3
    alone: 4
    required_counterpart(name): 5
"""

TESTS = """
import subprocess, pytest
@pytest.fixture
def engine_program(): pass
def test_plain(): pass
def test_with_the_engine(engine_program): pass
@pytest.mark.required_counterpart("promtool")
def test_with_a_counterpart(): pass
@pytest.mark.slow
def test_slow(): pass
@pytest.mark.alone
def test_alone(): pass
@pytest.mark.integration
def test_that_may_start_a_program(): subprocess.run(["true"], check=True)
"""

IN_A_BROWSER = """
import pytest
@pytest.mark.slow
def test_in_a_browser(): pass
@pytest.mark.alone
def test_alone_in_a_browser(): pass
"""

STARTS_PROGRAM = """
import subprocess
def test_that_starts_a_program(): subprocess.run(["true"], check=True)
"""

ALONE_BY_IMPORT = """
from shared_marks import REAL_TIME
pytestmark = REAL_TIME
def test_that_no_phase_would_find(): pass
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with a few tests and `tests.tiers`."""
    pytester.makeini(CONFIG)
    pytester.makeconftest("pytest_plugins = ['tests.tiers']")
    pytester.makepyfile(TESTS)
    folder = pytester.path / BROWSER
    folder.mkdir(parents=True)
    (folder / "test_pages.py").write_text(IN_A_BROWSER, encoding="utf-8")
    return pytester


@pytest.mark.parametrize(
    ("arguments", "selected"),
    [
        (("-m", "unit"), {"test_plain"}),
        (
            ("-m", "integration"),
            {"test_with_the_engine", "test_with_a_counterpart", "test_that_may_start_a_program"},
        ),
        (("--phase", "alone"), {"test_alone", "test_alone_in_a_browser"}),
        (("--phase", "parallel", "-m", "not integration"), {"test_plain", "test_slow"}),
        (("--phase", "browser"), {"test_in_a_browser"}),
        (("--phase", "browser", "test_each_test_is_in_its_tier.py"), set()),
    ],
)
def test_each_test_is_in_its_tier(project: pytest.Pytester, arguments: tuple[str, ...], selected: set[str]) -> None:
    result = project.runpytest_inprocess("-v", *arguments)
    passed = {line.split("::")[1].split()[0] for line in result.outlines if " PASSED" in line}
    assert passed == selected


def test_a_unit_test_that_starts_a_program_fails(project: pytest.Pytester) -> None:
    project.makepyfile(STARTS_PROGRAM)
    result = project.runpytest_inprocess("-m", "unit")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*starts a program: mark it with pytest.mark.integration*"])


def test_a_file_that_the_phase_alone_would_leave_out_is_an_error(project: pytest.Pytester) -> None:
    project.makepyfile(shared_marks="import pytest; REAL_TIME = pytest.mark.alone", test_imported=ALONE_BY_IMPORT)
    result = project.runpytest_inprocess("--phase", "parallel")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_imported.py: has tests with the marker alone*"])


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [((0, 0, 0), 0), ((0, 5, 5), 0), ((5, 5, 0), 0), ((0, 1, 0), 1), ((0, 0, 2), 1), ((5, 5, 5), 5), ((0, -9, 0), 1)],
)
def test_all_phases_must_pass_and_one_must_have_a_test(statuses: tuple[int, ...], expected: int) -> None:
    assert status_of(statuses) == expected
