"""The Helm chart: it is valid for Kubernetes, refuses wrong values, and has the configuration and its rules."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

import monitor
from monitor.config import parse
from monitor.slo import dashboards
from monitor.slo.chart import OWN_KEYS, VALUES_FILE, chart_files
from monitor.slo.rules import rules_spec
from tests.chart.manifests import TARGET, manifests
from tests.chart.reference import VALUES, files
from tests.chart.rendering import (
    CHART,
    NAMES,
    SETS,
    config_of,
    find,
    helm,
    kubeconform,
    objects,
    pod_spec,
    program,
    rendered,
    run,
    template,
    values_of,
)
from tests.chart.schemas import KUBERNETES
from tests.counterparts import HELM
from tests.relays import ROOT

IMAGE = "--set=image.repository=registry.example.com/relay-monitor"


def test_schema_and_table_of_values_match_the_values_and_the_configuration() -> None:
    assert [path for path, content in files().items() if path.read_text("utf-8") != content] == []


def test_the_chart_has_the_version_of_the_program() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert (chart["version"], chart["appVersion"]) == (monitor.__version__, monitor.__version__)


@pytest.mark.integration
class TestValidity:
    @pytest.mark.parametrize("name", NAMES)
    def test_helm_finds_nothing_to_complain_of(self, name: str, tmp_path: Path) -> None:
        done = helm("lint", "--strict", CHART, *values_of(name, tmp_path))
        assert done.returncode == 0, done.stdout + done.stderr

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("version", KUBERNETES)
    def test_every_object_is_valid_for_kubernetes(self, name: str, version: str) -> None:
        done = kubeconform(rendered(name), version)
        assert done.returncode == 0, done.stdout + done.stderr
        number = len(objects(rendered(name)))
        assert f"Valid: {number}, Invalid: 0, Errors: 0, Skipped: 0" in done.stdout

    def test_an_unknown_field_is_found(self) -> None:
        """The schemas are strict."""
        text = rendered("stack")
        for old, new in (("podManagementPolicy:", "podManagment:"), ("jobLabel:", "jobLable:")):
            done = kubeconform(text.replace(old, new), KUBERNETES[-1])
            assert done.returncode == 1
            assert "Invalid: 1" in done.stdout

    def test_the_package_has_copies_of_the_shipped_files(self, tmp_path: Path) -> None:
        """In the repository they are links."""
        done = helm("package", CHART, "--destination", tmp_path)
        assert done.returncode == 0, done.stderr
        package = tmp_path / f"relay-monitor-{monitor.__version__}.tgz"
        with tarfile.open(package) as archive:
            names = {member.name: member.isfile() for member in archive}
        assert names["relay-monitor/files/config.yaml"]
        assert names["relay-monitor/files/dashboards/relays-overview.json"]
        assert not [name for name in names if name.endswith(".lint")]
        everything = ["--set=prometheusRule.enabled=true,dashboards.enabled=true", IMAGE]
        assert template(*everything, chart=package) == template(*everything)

    def test_the_plain_manifests_are_what_the_chart_renders_and_valid(self) -> None:
        program(HELM)
        text = TARGET.read_text("utf-8")
        assert text == manifests()
        assert kubeconform(text, KUBERNETES[-1]).returncode == 0
        made = find(objects(text), "ConfigMap")["data"]["config.yaml"]
        assert parse(made, "config.yaml", {}, check_files=False).relays[0].name == "eu-1"


@pytest.mark.integration
class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ([], "image.repository is required: the image that you built and pushed"),
            ([IMAGE, "--set=replicas=3"], "replicas"),
            ([IMAGE, "--set=persistence.enable=true"], "enable"),
            ([IMAGE, "--set=logLevel=verbose"], "logLevel"),
            ([IMAGE, "--set=config.relayz=a"], "relayz"),
            ([IMAGE, "--set=config.location=here"], "relays"),
            ([IMAGE, "--set=port=0"], "port"),
        ],
    )
    def test_a_wrong_value_is_named(self, options: list[str], message: str) -> None:
        done = helm("template", "relay-monitor", CHART, *options)
        assert done.returncode == 1
        assert message in done.stderr

    def test_shards_from_the_environment_are_no_number_of_pods(self, tmp_path: Path) -> None:
        done = helm("template", "it", CHART, *values_of("stack", tmp_path), "--set-string=config.shards=${SHARDS:-2}")
        assert done.returncode == 1
        assert "config.shards is ${SHARDS:-2}; it is the number of pods" in done.stderr

    def test_an_interval_from_the_environment_is_none_of_a_service_monitor(self, tmp_path: Path) -> None:
        interval = "--set-string=config.prometheus.scrape_interval=${SCRAPE:-15s}"
        options = [*values_of("shards", tmp_path), interval]
        assert template(*options)
        done = helm("template", "it", CHART, *options, "--set=serviceMonitor.enabled=true")
        assert done.returncode == 1
        assert "config.prometheus.scrape_interval is ${SCRAPE:-15s}; it is the interval of the Service" in done.stderr

    def test_a_configuration_without_its_rules_is_refused(self, tmp_path: Path) -> None:
        text = (SETS / "stack" / "config.yaml").read_text("utf-8")
        (tmp_path / "own.yaml").write_text(yaml.safe_dump({"config": yaml.safe_load(text)}), "utf-8")
        options = [IMAGE, f"--values={tmp_path / 'own.yaml'}"]
        assert objects(template(*options))
        for kind in ("prometheusRule", "dashboards"):
            done = helm("template", "it", CHART, *options, f"--set={kind}.enabled=true")
            assert done.returncode == 1
            assert (
                "there is nothing generated from `config`: run `relay-monitor generate --format chart`" in done.stderr
            )

    @pytest.mark.parametrize(
        ("change", "key"),
        [
            ("config.install=other", "install"),
            ("config.slos[0].objective=98%", "slos"),
            ("config.metrics.detail=lean", "metrics"),
            ("config.alerts.labels.team=wallets", "alerts"),
        ],
    )
    def test_rules_of_another_configuration_are_refused(self, change: str, key: str, tmp_path: Path) -> None:
        done = helm("template", "it", CHART, *values_of("stack", tmp_path), f"--set={change}")
        assert done.returncode == 1
        assert f"config.{key} is not what the rules and dashboards were generated from" in done.stderr

    def test_one_file_of_rules_serves_all_locations(self, tmp_path: Path) -> None:
        """What no rule depends on may be set for each release."""
        assert OWN_KEYS == ("journal", "location", "server", "state_dir")
        helpers = (CHART / "templates" / "_helpers.tpl").read_text("utf-8")
        assert f"$own := list {' '.join(json.dumps(key) for key in OWN_KEYS)}" in helpers
        changed = ["--set=config.location=iad", "--set=config.journal.max_age=1d"]
        made = objects(template(*values_of("stack", tmp_path), *changed))
        assert yaml.safe_load(find(made, "ConfigMap")["data"]["config.yaml"])["location"] == "iad"
        assert find(made, "PrometheusRule")["spec"] == rules_spec(config_of("stack"))


@pytest.mark.integration
class TestContent:
    @pytest.mark.parametrize("name", NAMES)
    def test_the_pods_get_the_configuration_and_the_folders_of_the_chart(self, name: str) -> None:
        made = objects(rendered(name))
        text = find(made, "ConfigMap")["data"]["config.yaml"]
        read = parse(text, "/etc/relay-monitor/config.yaml", {}, check_files=False)
        listen = yaml.safe_load(text)["server"]["listen"]
        assert listen == {"lean": "[::]:9000"}.get(name, "0.0.0.0:9464")
        expected = config_of(name)
        server = expected.server.model_copy(update={"listen": listen})
        assert read == expected.model_copy(update={"server": server, "state_dir": Path("/var/lib/relay-monitor")})

    @pytest.mark.parametrize("name", ["minimal", "shards", "stack"])
    def test_a_job_checks_what_the_pods_will_get_before_they_get_it(self, name: str) -> None:
        made = objects(rendered(name))
        job, pods = find(made, "Job", "relay-monitor-check"), find(made, "StatefulSet")
        config = find(made, "ConfigMap", "relay-monitor-check")
        assert config["data"] == find(made, "ConfigMap")["data"]
        for each in (config, job):
            assert each["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
        weights = [int(each["metadata"]["annotations"]["helm.sh/hook-weight"]) for each in (config, job)]
        assert weights == sorted(set(weights))
        (checked,), (run_by,) = pod_spec(job)["containers"], pod_spec(pods)["containers"]
        assert checked["args"] == ["check", "--config", "/etc/relay-monitor/config.yaml"]
        # The same image, Secrets and environment, so that the check finds what the monitor would.
        for key in ("image", "volumeMounts", "securityContext", "envFrom"):
            assert checked.get(key) == run_by.get(key)
        assert [each for each in run_by.get("env", []) if each["name"] != "POD_INDEX"] == checked.get("env", [])
        volumes = {each["name"]: each for each in pod_spec(job)["volumes"]}
        assert volumes["config"]["configMap"] == {"name": "relay-monitor-check"}
        assert {mount["name"] for mount in checked["volumeMounts"]} <= set(volumes)

    def test_the_pods_restart_for_what_a_reload_refuses_and_for_nothing_else(self, tmp_path: Path) -> None:
        values = values_of("shards", tmp_path)

        def pods(*options: str) -> Any:
            return find(objects(template(*values, *options)), "StatefulSet")["spec"]["template"]

        before = pods()
        assert (
            pods("--set=config.relays[0].page_after=1m", "--set=config.references={a.example:443,b.example:443}")
            == before
        )
        refused = (
            "config.install=other",
            "config.location=iad",
            "config.shards=2",
            "listenAddress=127.0.0.1",
            "port=9000",
        )
        mark = "relay-monitor/restart"
        for change in refused:
            assert pods(f"--set={change}")["metadata"]["annotations"][mark] != before["metadata"]["annotations"][mark]

    def test_each_shard_has_its_number_and_its_service(self) -> None:
        made = objects(rendered("shards"))
        pods = find(made, "StatefulSet")
        assert pods["spec"]["replicas"] == 3
        (container,) = pod_spec(pods)["containers"]
        assert container["args"][-1] == "--shard=$(POD_INDEX)/3"
        for index in range(3):
            selector = find(made, "Service", f"relay-monitor-{index}")["spec"]["selector"]
            assert selector["statefulset.kubernetes.io/pod-name"] == f"relay-monitor-{index}"
        assert pods["spec"]["serviceName"] == find(made, "Service", "relay-monitor-pods")["metadata"]["name"]

    @pytest.mark.parametrize("name", NAMES)
    def test_no_folder_is_mounted_by_sub_path(self, name: str) -> None:
        """A file that is mounted by subPath never changes in a running pod."""
        for made in objects(rendered(name)):
            for container in pod_spec(made).get("containers", []):
                assert [mount for mount in container.get("volumeMounts", []) if "subPath" in mount] == []

    @pytest.mark.parametrize("name", NAMES)
    def test_pods_are_allowed_what_the_restricted_standard_allows(self, name: str) -> None:
        found = [spec for made in objects(rendered(name)) if (spec := pod_spec(made))]
        assert len(found) == (2 if name == "lean" else 3)
        for spec in found:
            assert spec["automountServiceAccountToken"] is False
            assert spec["securityContext"]["runAsNonRoot"] is True
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            for container in spec["containers"]:
                assert container["securityContext"] == {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                }
                assert container["resources"]["limits"]["memory"]
            assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}

    def test_passwords_do_not_lock_the_probes_out(self) -> None:
        """Kubernetes' HTTP probes have no password: the image's own check takes any answer for a sign of life."""
        (container,) = pod_spec(find(objects(rendered("shards")), "StatefulSet"))["containers"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            command = ["python", "-m", "monitor.healthcheck", "--config", "/etc/relay-monitor/config.yaml"]
            assert container[probe]["exec"] == {"command": command}

    def test_the_load_job_runs_as_the_monitor_does(self) -> None:
        job = yaml.safe_load((ROOT / "deploy/kubernetes/load-job.yaml").read_text("utf-8"))
        monitored = pod_spec(find(objects(rendered("minimal")), "StatefulSet"))
        spec = pod_spec(job)
        assert spec["securityContext"].items() <= monitored["securityContext"].items()
        assert spec["containers"][0]["securityContext"] == monitored["containers"][0]["securityContext"]
        assert spec["automountServiceAccountToken"] is False
        image, tag = monitored["containers"][0]["image"].rpartition("/")[2].split(":")
        assert tag == monitor.__version__
        assert spec["containers"][0]["image"] == f"{image}:tools"


@pytest.mark.integration
class TestMonitoring:
    @pytest.mark.parametrize("options", [["stack"], ["minimal", "--set=prometheusRule.enabled=true"]])
    def test_the_rules_are_those_of_the_configuration_and_promtool_accepts_them(
        self, options: list[str], tmp_path: Path
    ) -> None:
        name, *more = options
        spec = find(objects(template(*values_of(name, tmp_path), *more)), "PrometheusRule")["spec"]
        assert spec == rules_spec(config_of(name))
        program = shutil.which("promtool")
        if program is None:
            pytest.skip("promtool is not on PATH: apt-get install -y prometheus")
        (tmp_path / "rules.yml").write_text(yaml.safe_dump(spec), "utf-8")
        done = run(program, "check", "rules", tmp_path / "rules.yml")
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"SUCCESS: {sum(len(group['rules']) for group in spec['groups'])} rules found" in done.stdout

    @pytest.mark.parametrize("name", ["stack", "minimal"])
    def test_each_dashboard_is_a_config_map_for_the_sidecar(self, name: str, tmp_path: Path) -> None:
        options = [*values_of(name, tmp_path), "--set=dashboards.enabled=true"]
        expected = {path.rpartition("/")[2]: content for path, content in dashboards.files(config_of(name)).items()}
        made = [each for each in objects(template(*options)) if "grafana_dashboard" in each["metadata"]["labels"]]
        shown = {file: text for each in made for file, text in each["data"].items()}
        assert shown.keys() == {file for file in expected if file.endswith(".json")}
        for file, text in shown.items():
            assert json.loads(text) == json.loads(expected[file])
            assert len(text.encode()) < 1_000_000
        if name == "stack":
            assert {each["metadata"]["namespace"] for each in made} == {"grafana"}

    def test_the_values_in_the_documentation_give_all_of_it(self, tmp_path: Path) -> None:
        page = (ROOT / "docs" / "kubernetes.md").read_text("utf-8")
        (values,) = [
            text for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "cluster.values.yaml" in text
        ]
        (tmp_path / "cluster.values.yaml").write_text(values, "utf-8")
        generated, *_ = values_of("stack", tmp_path)
        made = objects(template(generated, f"--values={tmp_path / 'cluster.values.yaml'}"))
        kinds = {each["kind"] for each in made}
        assert {"StatefulSet", "ServiceMonitor", "PrometheusRule", "NetworkPolicy", "PodDisruptionBudget"} <= kinds
        volumes = pod_spec(find(made, "StatefulSet"))["volumes"]
        assert [each["secret"]["secretName"] for each in volumes if "secret" in each] == ["relay-credentials"]

    def test_prometheus_selects_the_pods_once_and_at_the_configured_interval(self) -> None:
        made = objects(rendered("stack"))
        spec = find(made, "ServiceMonitor")["spec"]
        (endpoint,) = spec["endpoints"]
        assert endpoint["interval"] == "30s"
        assert endpoint["honorLabels"] is True
        wanted = spec["selector"]["matchLabels"].items()
        services = [each for each in made if each["kind"] == "Service" and wanted <= each["metadata"]["labels"].items()]
        assert [each["metadata"]["name"] for each in services] == ["relay-monitor-pods"]
        pods = find(made, "StatefulSet")["spec"]["template"]["metadata"]["labels"]
        assert services[0]["spec"]["selector"].items() <= pods.items()
        for kind in ("ServiceMonitor", "PrometheusRule"):
            assert find(made, kind)["metadata"]["labels"]["release"] == "kube-prometheus-stack"

    def test_the_interval_is_15_seconds_if_none_is_configured(self) -> None:
        assert find(objects(rendered("lean")), "ServiceMonitor")["spec"]["endpoints"][0]["interval"] == "15s"


def test_a_large_installation_fits_into_the_objects_of_kubernetes() -> None:
    """etcd takes 1.5 MB an object, a ConfigMap 1 MiB."""
    text = (SETS / "stack" / "config.yaml").read_text("utf-8")
    relay = next(line for line in text.splitlines() if "eu-1" in line)
    many = text.replace(relay, "\n".join(relay.replace("eu-1", f"relay-{number}") for number in range(200)))
    values = yaml.safe_load(chart_files(parse(many, "config.yaml", {}), many, "config.yaml")[VALUES_FILE])
    assert len(json.dumps(values["generated"]["rules"])) < 1_000_000
    assert max(len(made.encode()) for made in values["generated"]["dashboards"].values()) < 1_000_000
    assert VALUES.exists()
