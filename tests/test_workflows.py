"""The workflows of GitHub: pinned actions, least permissions, and what they run exists. None is run."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from typing import Any, Final

import pytest
import yaml

import monitor
from tests.counterparts import COUNTERPARTS
from tests.relays import ROOT

FOLDER: Final = ROOT / ".github" / "workflows"
WORKFLOWS: Final[dict[str, Any]] = {
    path.name: yaml.safe_load(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.yml"))
}
JOBS: Final = [
    pytest.param(job, id=f"{name}-{key}")
    for name, workflow in WORKFLOWS.items()
    for key, job in workflow["jobs"].items()
]
MAY_WRITE: Final = {
    ("release.yml", "package"): {"id-token"},
    ("release.yml", "image"): {"attestations", "id-token", "packages"},
    ("release.yml", "chart"): {"packages"},
    ("release.yml", "notes"): {"contents"},
    ("dependencies.yml", "upgrade"): {"actions", "contents", "pull-requests"},
    ("pages.yml", "deploy"): {"id-token", "pages"},
}
"""Workflow and job → the permissions with which it may write."""


def commands(job: dict[str, Any]) -> str:
    return "\n".join(step.get("run", "") for step in job.get("steps", ()))


def test_every_action_is_pinned_by_its_commit_with_the_version_beside_it() -> None:
    used = re.findall(r"uses: (\S+)(.*)", "".join(path.read_text("utf-8") for path in FOLDER.glob("*.yml")))
    foreign = [(action, version) for action, version in used if not action.startswith("./")]
    assert foreign
    assert [
        action
        for action, version in foreign
        if not (re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) and re.fullmatch(r" # v\d+\.\d+\.\d+", version))
    ] == []


def test_each_job_may_write_only_what_it_must() -> None:
    found = {}
    for name, workflow in WORKFLOWS.items():
        assert workflow["permissions"] == {}
        for key, job in workflow["jobs"].items():
            if writes := {scope for scope, may in job["permissions"].items() if may == "write"}:
                found[name, key] = writes
    assert found == MAY_WRITE


@pytest.mark.parametrize("job", JOBS)
def test_each_job_ends(job: dict[str, Any]) -> None:
    assert "uses" in job or job["timeout-minutes"] <= 90


@pytest.mark.parametrize("job", JOBS)
def test_what_it_runs_exists(job: dict[str, Any]) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for arguments in re.findall(r"^make (.*)$", commands(job), re.MULTILINE):
        assert {word for word in arguments.split() if "=" not in word} <= targets
    if "uses" in job:
        assert (ROOT / job["uses"]).is_file()
    for step in job.get("steps", ()):
        if "target" in (settings := step.get("with", {})):
            stages = re.findall(r"^FROM .* AS (\S+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
            assert {entry["target"] for entry in job["strategy"]["matrix"]["include"]} <= set(stages)
            assert settings["target"] == "${{ matrix.target }}"


def test_the_unit_tests_run_on_each_supported_python() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    supported = [kind.rpartition(" ")[2] for kind in project["classifiers"] if re.search(r":: 3\.\d+$", kind)]
    assert WORKFLOWS["ci.yml"]["jobs"]["unit"]["strategy"]["matrix"]["python"] == supported


@pytest.mark.integration
def test_the_release_takes_its_notes_from_the_changelog() -> None:
    """By the workflow's own command, which prints nothing for a version that the changelog has not."""
    build = commands(WORKFLOWS["release.yml"]["jobs"]["build"])
    (command,) = re.findall(r"^(awk .*) > notes\.md$", build, re.MULTILINE)

    def notes(version: str) -> str:
        run, environ = ["bash", "-euc", command], {"version": version}
        return subprocess.run(run, cwd=ROOT, env=environ, capture_output=True, text=True, check=True).stdout

    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    text = notes(monitor.__version__)
    assert text.strip(), "each version has a section: CONTRIBUTING.md has the steps of a release"
    assert "\n## " not in text
    assert text in changelog
    assert notes("9.9.9") == ""


def test_issue_forms_have_names_and_unique_fields() -> None:
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        issue = yaml.safe_load(path.read_text("utf-8"))
        if path.name == "config.yml":
            continue
        assert {"name", "description", "body"} <= issue.keys(), path.name
        fields = [field["id"] for field in issue["body"] if field["type"] != "markdown"]
        assert len(fields) == len(set(fields))
        assert all(field["attributes"].get("label") for field in issue["body"] if field["type"] != "markdown")


@pytest.mark.integration
def test_actionlint_finds_nothing() -> None:
    program = COUNTERPARTS["actionlint"].path
    found = str(program) if program.exists() else shutil.which("actionlint")
    if found is None:
        pytest.skip("there is no actionlint: .venv/bin/python -m tests.counterparts actionlint")
    done = subprocess.run([found, "-no-color"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
