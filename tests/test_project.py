"""Rules for the whole project: files, locks, dependencies, package, documents, tests."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUNTIME = [Requirement(text) for text in PYPROJECT["project"]["dependencies"]]
EXTRAS = [Requirement(text) for extra in PYPROJECT["project"]["optional-dependencies"].values() for text in extra]
DEV = [Requirement(text) for text in PYPROJECT["dependency-groups"]["dev"]]
SITE = [Requirement(text) for text in PYPROJECT["dependency-groups"]["site"]]

# Each contains the previous one.
LOCKS = {
    "requirements.lock": RUNTIME,
    "requirements-tools.lock": RUNTIME + EXTRAS,
    "requirements-dev.lock": RUNTIME + EXTRAS + DEV,
}
ALL_LOCKS = LOCKS | {"requirements-site.lock": SITE}

# Host names of registries fail behind a mirror; absolute paths exist on one machine only.
FOREIGN = re.compile(
    r"""pypi\.(?:org|python\.org) | pythonhosted\.org | registry\.(?:npmjs\.org|yarnpkg\.com) | (?:static\.)?crates\.io
      | (?:proxy|sum)\.golang\.org | (?:deb|security)\.debian\.org | repo1?\.maven\.(?:org|apache\.org) | -{2}find-links
      | /(?:root|work|home/\w+|Users/\w+)/""",
    re.VERBOSE,
)
MAX_LINES = 400


def tracked(*patterns: str) -> list[Path]:
    """Return the files of the working tree that git tracks or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [path for name in sorted(set(listed.stdout.split("\0"))) if name and (path := ROOT / name).is_file()]


def pins(name: str) -> dict[tuple[str, str], int]:
    """Return the number of hashes of each package and version. Versions may differ between Pythons."""
    entries = re.findall(
        r"^(\S+)==(\S+)[^\n]*\\\n((?: {4}--hash=\S+[ \\\n]*)*)", (ROOT / name).read_text("utf-8"), re.MULTILINE
    )
    return {(canonicalize_name(package), version): hashes.count("--hash=") for package, version, hashes in entries}


def test_no_file_has_a_registry_or_an_absolute_path() -> None:
    found = []
    for path in tracked():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in FOREIGN.finditer(text)]
    assert found == []


def test_every_module_is_shorter_than_the_limit() -> None:
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_bytes().splitlines()) for path in tracked("*.py")}
    assert {name: length for name, length in lengths.items() if length >= MAX_LINES} == {}


@pytest.mark.parametrize(("lock", "wanted"), ALL_LOCKS.items())
def test_a_lock_pins_all_requirements(lock: str, wanted: list[Requirement]) -> None:
    pinned = pins(lock).keys()
    assert [
        str(requirement)
        for requirement in wanted
        if not [
            version
            for name, version in pinned
            if name == canonicalize_name(requirement.name) and requirement.specifier.contains(version)
        ]
    ] == []


@pytest.mark.parametrize("lock", ALL_LOCKS)
def test_every_pin_has_hashes(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert len(pins(lock)) == sum("==" in line.split(";")[0] for line in text.splitlines() if line[:1].isalnum())
    assert [name for name, hashes in pins(lock).items() if not hashes] == []


def test_tested_versions_are_the_shipped_ones() -> None:
    """Each lock contains the pins of the previous one."""
    shipped, tools, every = map(pins, LOCKS)
    assert shipped.items() <= tools.items() <= every.items()


def test_the_runtime_lock_has_no_extras() -> None:
    packages = {name for name, _ in pins("requirements.lock")}
    assert packages.isdisjoint(canonicalize_name(requirement.name) for requirement in EXTRAS)


def test_every_imported_package_is_a_dependency() -> None:
    """A package that is only a dependency of another one may disappear with its next release."""
    declared = {canonicalize_name(requirement.name) for requirement in RUNTIME + EXTRAS}
    providers = importlib.metadata.packages_distributions()
    undeclared = set()
    for path in tracked("monitor/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=names):
                    modules = [alias.name for alias in names]
                case ast.ImportFrom(module=str(module), level=0):
                    modules = [module]
                case _:
                    continue
            for top in {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - {"monitor"}:
                if not {canonicalize_name(name) for name in providers.get(top, [])} & declared:
                    undeclared.add(f"{path.relative_to(ROOT)}: {top}")
    assert undeclared == set()


def test_the_program_needs_no_development_tools() -> None:
    """All modules can be imported without the packages that only the dev lock has."""
    shipped, every = ({name for name, _ in pins(lock)} for lock in ("requirements-tools.lock", "requirements-dev.lock"))
    dev_only = every - shipped
    providers = importlib.metadata.packages_distributions()
    hidden = [top for top, names in providers.items() if {canonicalize_name(name) for name in names} <= dev_only]
    program = (
        "import importlib, pkgutil, sys\n"
        f"sys.modules.update(dict.fromkeys({hidden!r}))\n"  # importing one of them raises ImportError
        "import monitor\n"
        "for module in pkgutil.walk_packages(monitor.__path__, 'monitor.'):\n"
        "    if not module.name.endswith('__main__'): importlib.import_module(module.name)\n"
    )
    assert "pytest" in hidden
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_every_section_for_figures_has_some() -> None:
    for page in sorted((ROOT / "docs").glob("*.md")):
        for name, figures in re.findall(r"<!-- (\w+) -->\n(.*?)<!-- end -->", page.read_text("utf-8"), re.DOTALL):
            assert "|---|" in figures or "─────" in figures, f"{page.name}: {name}"  # of Markdown, or of a command


def test_links_between_documents_exist() -> None:
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in tracked("*.md")
        for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8"))
        if ":" not in target and not (path.parent / target).exists()
    ]
    assert broken == []


ANYBODY = "required_counterpart('node')"
ROOT_ONLY = "required_as_root('mounts')"


@pytest.mark.parametrize(
    ("marker", "ci", "outcome"),
    [
        (ANYBODY, "true", {"failed": 1}),
        (ANYBODY, "", {"skipped": 1}),
        (ROOT_ONLY, "true", {"failed" if os.geteuid() == 0 else "skipped": 1}),
    ],
)
def test_a_missing_counterpart_fails_in_ci_and_is_skipped_elsewhere(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, marker: str, ci: str, outcome: dict[str, int]
) -> None:
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text(encoding="utf-8"))
    pytester.makeini("[pytest]\nmarkers =\n    required_counterpart(name)\n    required_as_root(name)")
    pytester.makepyfile(f"import pytest\n@pytest.mark.{marker}\ndef test_it(): pytest.skip('install node')\n")
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    result = pytester.runpytest_subprocess("-ra")
    result.assert_outcomes(**outcome)
    result.stdout.fnmatch_lines(["*install node*"])
