"""The wheel as a user installs it: the base alone, which names the extra that it lacks, and the demo."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
NEED_EXTRAS = ("sandbox", "cli.demo", "celery")
"""Modules that are for those who have installed an extra alone: `celery` is the application of its workers."""
IMPORT_ALL = f"""
import importlib, pkgutil, drillster_pipeline as package
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.removeprefix("drillster_pipeline.").startswith({NEED_EXTRAS}):
        importlib.import_module(module.name)
package.language.Language("nl")
"""


def modules_of_extras() -> set[str]:
    """Top-level modules of the distributions that only an extra for users names."""
    extras = {name: needs for name, needs in PROJECT["optional-dependencies"].items() if name != "dev"}
    names = {canonicalize_name(Requirement(need).name) for needs in extras.values() for need in needs}
    found = packages_distributions().items()
    return {module for module, made_by in found if names & {canonicalize_name(name) for name in made_by}}


def run(folder: Path, *command: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """In an empty folder, without the settings and the modules of the checkout."""
    kept = {name: os.environ[name] for name in os.environ if not name.startswith(("DRILLSTER_", "DAGSTER_", "PYTHON"))}
    folder.mkdir(exist_ok=True)
    environment = kept | settings
    return subprocess.run(
        command, cwd=folder, env=environment, check=False, capture_output=True, text=True, timeout=300
    )


def without_extras(code: str) -> list[str]:
    return [sys.executable, "-c", f"import sys; sys.modules.update(dict.fromkeys({modules_of_extras()}))\n{code}"]


@pytest.mark.slow
def test_every_module_but_those_that_an_extra_is_for_is_imported_without_any_extra(tmp_path: Path) -> None:
    assert {"apprise", "dagster_webserver", "psycopg", "pymysql", "s3fs", "starlette", "uvicorn"} < modules_of_extras()
    ended = run(tmp_path, *without_extras(IMPORT_ALL))
    assert ended.returncode == 0, ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("extra", "command", "settings"),
    [
        ("sandbox", "demo", {}),
        ("sandbox", "sandbox", {}),
        ("alerts", "prune", {"DRILLSTER_ALERT_URLS": "mailto://user:secret@example.org"}),
        ("postgres", "report", {"DRILLSTER_WAREHOUSE_URL": "postgresql://user:secret@127.0.0.1/w"}),
        ("mysql", "report", {"DRILLSTER_WAREHOUSE_URL": "mariadb://user:secret@127.0.0.1/w"}),
        ("s3", "prune", {"DRILLSTER_ARCHIVE_URL": "s3://user:secret@bucket/archive"}),
        ("timestamps", "prune", {"DRILLSTER_TIMESTAMP_URL": "https://user:secret@tsa.example.org/tsr"}),
        ("deploy", "prune", {"DAGSTER_HOME": str(REPOSITORY / "deploy")}),
    ],
)
def test_what_needs_an_extra_that_is_not_installed_names_it(
    extra: str, command: str, settings: dict[str, str], tmp_path: Path
) -> None:
    main = f"sys.argv[1:] = [{command!r}]\nfrom drillster_pipeline.cli.main import main\nmain()"
    ended = run(tmp_path, *without_extras(main), **settings)
    assert f"needs the extra {extra}: pip install 'drillster-pipeline[{extra}]'" in ended.stderr
    assert (ended.returncode, "secret" in ended.stderr, "Traceback" in ended.stderr) == (2, False, False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `make wheel` builds it; what is installed already is not installed anew under the tests that run."""
    folder = tmp_path_factory.mktemp("dist")
    index = run(folder, sys.executable, "-m", "pip", "download", "-q", "--retries", "0", "--no-deps", "uvicorn")
    if index.returncode:
        pytest.skip(f"no package index can be reached: {index.stderr.strip().splitlines()[-1]}")
    make = ["make", "-C", REPOSITORY, "-o", "install", "wheel", f"DIST={folder}", f"BIN={Path(sys.executable).parent}"]
    subprocess.run(make, check=True, timeout=100)
    (found,) = folder.glob("drillster_pipeline-*.whl")
    return found


def interpreter(version: str) -> Path | str:
    """One that starts: pyenv has programs on the path for versions that are not chosen."""
    known = [shutil.which(f"python{version}"), *Path.home().glob(f".pyenv/versions/{version}.*/bin/python")]
    for found in filter(None, known):
        if not subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode:
            return found
    pytest.skip(f"Python {version} is not installed")


@pytest.mark.deep
@pytest.mark.timeout(900)
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_the_wheel_runs_the_demo_in_an_empty_folder(version: str, wheel: Path, tmp_path: Path) -> None:
    venv, versions = tmp_path / "venv", tmp_path / "constraints.txt"
    # Of the versions that the other tests have: a new one of somebody else does not fail this test.
    locked = re.findall(r"^(\S+==.+) \\$", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE)
    versions.write_text("\n".join(locked))

    def install(what: str) -> None:
        ended = run(tmp_path, venv / "bin/python", "-m", "pip", "install", "-q", "-c", versions, what)
        assert ended.returncode == 0, ended.stderr

    assert run(tmp_path, interpreter(version), "-m", "venv", venv).returncode == 0
    install(str(wheel))
    assert run(tmp_path / "empty", venv / "bin/python", "-c", IMPORT_ALL).returncode == 0
    demo = ["demo", "--nights", "2", "--accounts", "20"]
    ended = run(tmp_path / "empty", venv / "bin/drillster-pipeline", *demo)
    assert (ended.returncode, "pip install 'drillster-pipeline[sandbox]'" in ended.stderr) == (2, True)

    install(f"drillster-pipeline[sandbox] @ {wheel.as_uri()}")
    ended = run(tmp_path / "empty", venv / "bin/drillster-pipeline", *demo)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "dagster dev -m drillster_pipeline.definitions" in ended.stdout
    with sqlite3.connect(tmp_path / "empty/data/demo/warehouse.sqlite") as warehouse:
        assert warehouse.execute("SELECT COUNT(DISTINCT export_date), COUNT(*) > 40 FROM results").fetchone() == (2, 1)
        assert warehouse.execute("SELECT COUNT(*) FROM group_compliance").fetchone()[0] > 0
