"""What deploy/, Containerfile and compose.yaml say fits together, and fits the code; no container engine is needed."""

from __future__ import annotations

import re
import shlex
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import yaml

from drillster_pipeline.settings import SETTINGS

REPOSITORY = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())
HELM = yaml.safe_load((REPOSITORY / "deploy/helm-values.yaml").read_text())
CONTAINERFILE = (REPOSITORY / "Containerfile").read_text().replace("\\\n", " ")
LOCKS = (REPOSITORY / "deploy/requirements.lock", REPOSITORY / "deploy/workers.lock")
SERVICES = COMPOSE["services"]
PROGRAMS = {found.name for found in entry_points(group="console_scripts")}


def instructions(name: str) -> list[str]:
    return [line.removeprefix(f"{name} ") for line in CONTAINERFILE.splitlines() if line.startswith(f"{name} ")]


def commands() -> list[list[str]]:
    """Each command that a container is started or checked with."""
    services = [service for name, service in SERVICES.items() if name != "postgres"]
    found = [service["command"] for service in services if "command" in service]
    found += [service["healthcheck"]["test"][1:] for service in services]
    return [*found, yaml.safe_load(instructions("CMD")[0])]


def test_every_command_is_one_that_the_image_has() -> None:
    for program, *arguments in commands():
        assert program in PROGRAMS | {"python"}
        if "--module-name" in arguments:
            assert arguments[arguments.index("--module-name") + 1] == "drillster_pipeline.definitions"


def test_what_is_copied_into_the_image_is_there_and_is_sent_to_the_builder() -> None:
    ignored = (REPOSITORY / ".containerignore").read_text()
    assert ignored == (REPOSITORY / ".dockerignore").read_text()
    sent = {line[1:] for line in ignored.splitlines() if line.startswith("!")}
    wheel = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert sent >= wheel["force-include"].keys() | {*wheel["packages"]}
    copied = {word.removeprefix("./") for line in instructions("COPY") for word in shlex.split(line)}
    assert copied >= sent - {"Containerfile", "deploy"}
    for line in instructions("COPY"):
        *sources, _ = [word for word in shlex.split(line) if not word.startswith("--")]
        for source in (word.replace("${LOCK}", str(LOCKS[0].relative_to(REPOSITORY))) for word in sources):
            if not source.startswith("/"):
                assert (REPOSITORY / source).exists(), source
                assert source.removeprefix("./").split("/")[0] in sent, source


def test_the_image_runs_as_an_ordinary_user_from_a_lock_with_hashes() -> None:
    assert instructions("USER") == ["10001"]
    installs = [line for line in instructions("RUN") if "pip install" in line]
    assert len(installs) == 2
    assert all("--no-deps" in line for line in installs)
    assert "--require-hashes" in installs[0]
    for lock in (path.read_text() for path in LOCKS):
        assert len(re.findall("^[a-zA-Z]", lock, re.MULTILINE)) == len(
            re.findall(r"^\S+==\S+.*\\$", lock, re.MULTILINE)
        )


def test_the_lock_of_the_image_has_the_versions_that_are_tested() -> None:
    tested, *images = (
        dict(re.findall(r"^(\S+)==(\S+)", path.read_text(), re.MULTILINE))
        for path in (REPOSITORY / "requirements.lock", *LOCKS)
    )
    for deployed in images:
        assert {name: version for name, version in deployed.items() if tested.get(name, version) != version} == {}
        assert {"pytest", "ruff", "mypy", "moto"}.isdisjoint(deployed)
    alone, workers = images
    assert workers.keys() > alone.keys()
    assert {"kubernetes", "celery"}.isdisjoint(alone)


def test_every_volume_secret_and_service_that_is_named_is_declared() -> None:
    for service in SERVICES.values():
        volumes = {volume.split(":")[0] for volume in service.get("volumes", [])}
        assert {volume for volume in volumes if not volume.startswith(".")} <= COMPOSE["volumes"].keys()
        assert all((REPOSITORY / volume).exists() for volume in volumes if volume.startswith("."))
        assert set(service.get("secrets", [])) <= COMPOSE["secrets"].keys()
        for other, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}
            assert "healthcheck" in SERVICES[other]


def test_every_container_is_confined() -> None:
    for service in SERVICES.values():
        assert service["read_only"]
        assert service["init"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert {"mem_limit", "pids_limit", "healthcheck", "restart"} <= service.keys()
        assert "/tmp" in service["tmpfs"]  # noqa: S108 - in the container
    assert SERVICES["postgres"]["user"] == "postgres"


def test_only_the_code_has_secrets_of_drillster_and_all_share_the_records_of_dagster() -> None:
    for name in ("code", "webserver", "daemon"):
        environment = SERVICES[name]["environment"]
        assert environment["DAGSTER_POSTGRES_URL"].startswith("postgresql+psycopg2://")
        assert environment["DAGSTER_CODE_HOST"] == "code"
        assert any(key.startswith("DRILLSTER_") for key in environment) == (name == "code")
        assert any(volume.startswith("storage:") for volume in SERVICES[name]["volumes"])


def test_every_folder_that_a_run_writes_to_outlives_the_container() -> None:
    """A folder beside the code goes when the image is replaced."""
    kept = [volume.split(":")[1] for volume in SERVICES["code"]["volumes"]]
    environment = " ".join(instructions("ENV"))
    for setting in SETTINGS:
        if setting.default.startswith("data/"):
            (folder,) = re.findall(rf"{setting.name}=(\S+)", environment)
            assert folder in kept
            made = next(line for line in instructions("RUN") if "chown" in line)
            assert folder in made, "made in the image, so that its volume belongs to the user"


def test_the_secrets_of_the_chart_are_those_that_are_made_by_commands_that_kubectl_takes() -> None:
    (deployment,) = HELM["dagster-user-deployments"]["deployments"]
    made = re.findall(r"kubectl create secret generic (\S+) (.*)", (REPOSITORY / "docs/deployment.md").read_text())
    named = {secret["name"] for secret in deployment["envSecrets"]} | {HELM["global"]["postgresqlSecretName"]}
    assert {name for name, _ in made} == named
    for _, options in made:
        # It refuses to take a file of settings together with anything else.
        assert "--from-env-file" not in options or options.count("--from-") == 1


def named_settings() -> set[str]:
    example = (REPOSITORY / "deploy/drillster.env.example").read_text()
    texts = [(REPOSITORY / name).read_text() for name in ("compose.yaml", "deploy/helm-values.yaml", "Containerfile")]
    return {name for text in [example, *texts] for name in re.findall(r"\bDRILLSTER_[A-Z_]+\b", text)}


def test_every_setting_that_is_named_exists() -> None:
    assert named_settings() <= {setting.name for setting in SETTINGS}
    assert "DRILLSTER_PRIVATE_KEY_FILE" in named_settings()


def test_no_secret_stands_in_a_file() -> None:
    for name in ("compose.yaml", "deploy/helm-values.yaml", "deploy/drillster.env.example"):
        for line in (REPOSITORY / name).read_text().splitlines():
            if re.search("PASSWORD|SECRET", line) and re.search("[:=]", line) and not line.lstrip().startswith("#"):
                value = re.split("[:=]", line, maxsplit=1)[1].strip()
                assert not value or "$" in value, line


def test_a_pod_keeps_nothing_that_is_needed_again() -> None:
    (deployment,) = HELM["dagster-user-deployments"]["deployments"]
    assert deployment["env"]["DRILLSTER_ARCHIVE_URL"].startswith("s3://")
    assert deployment["dagsterApiGrpcArgs"] == ["--module-name", "drillster_pipeline.definitions"]
    assert deployment["includeConfigInLaunchedRuns"] == {"enabled": True}
    assert HELM["postgresql"]["postgresqlScheme"] == "postgresql+psycopg2"


def test_every_pod_is_confined_and_has_the_image_that_is_tested() -> None:
    from dagster_k8s.models import k8s_snake_case_dict
    from kubernetes import client

    (deployment,) = HELM["dagster-user-deployments"]["deployments"]
    (user,) = instructions("USER")
    run = HELM["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]
    launched = {"podSecurityContext": run["podSpecConfig"]["securityContext"], **run["containerConfig"]}
    models = {"podSecurityContext": client.V1PodSecurityContext, "securityContext": client.V1SecurityContext}
    for pod in (deployment, HELM["dagsterDaemon"], HELM["dagsterWebserver"], launched):
        for name, model in models.items():
            k8s_snake_case_dict(model, pod[name])  # it raises for a name that Kubernetes does not know
        assert pod["podSecurityContext"]["runAsNonRoot"]
        assert pod["podSecurityContext"]["runAsUser"] == int(user)
        assert pod["podSecurityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert pod["securityContext"]["readOnlyRootFilesystem"]
        assert not pod["securityContext"]["allowPrivilegeEscalation"]
        if pod is not launched:  # it gets resources and volumes of the deployment
            assert {"requests", "limits"} <= pod["resources"].keys()
            assert [mount["mountPath"] for mount in pod["volumeMounts"]] == ["/tmp"]  # noqa: S108 - in the pod
            assert pod["image"] == deployment["image"]


def test_the_chart_gets_what_dagster_yaml_has() -> None:
    home = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text())
    assert HELM["additionalInstanceConfig"] == {name: home[name] for name in ("run_monitoring", "run_retries")}
    daemon = HELM["dagsterDaemon"]
    assert {name: daemon[name]["enabled"] for name in ("runMonitoring", "runRetries")} == {
        "runMonitoring": False,
        "runRetries": False,
    }
    assert _snake(daemon["runCoordinator"]["config"]["queuedRunCoordinator"]) == home["run_queue"]
    assert {name: _snake(daemon[name]) for name in ("schedules", "sensors")} == {
        name: home[name] for name in ("schedules", "sensors")
    }
    assert _snake(HELM["concurrency"]["pools"]) == home["concurrency"]["pools"]
    assert _snake(HELM["concurrency"]["runs"]) == home["concurrency"]["runs"]
    assert _snake(HELM["retention"]["sensor"]) == home["retention"]["sensor"]


def _snake(values: dict[str, Any]) -> dict[str, Any]:
    return {re.sub("([A-Z])", r"_\1", name).lower(): value for name, value in values.items()}
