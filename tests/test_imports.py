"""What the package imports: nothing heavy before the first request, and nothing that is not declared."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@pytest.mark.slow
def test_a_run_sends_its_first_request_before_pandas_is_imported() -> None:
    modules = ["cli", "cli.run", "pipeline.capture", "orchestration", "api.crawler"]
    code = "import sys; " + "".join(f"import drillster_pipeline.{name}; " for name in modules)
    subprocess.run([sys.executable, "-c", f"{code} sys.exit('pandas' in sys.modules)"], check=True, timeout=60)


REPOSITORY = Path(__file__).parents[1]


def imported() -> Iterator[tuple[str, str]]:
    """File and top-level module of every import, also of those that wait in a function."""
    for path in sorted((REPOSITORY / "drillster_pipeline").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [str(node.module)]
            else:
                continue
            yield from ((str(path.relative_to(REPOSITORY)), name.partition(".")[0]) for name in names)


def declared() -> Iterator[str]:
    """Distributions that the project or an extra for users names, and what an extra of theirs brings: PyJWT[crypto]."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = {name: needs for name, needs in project["optional-dependencies"].items() if name != "dev"}
    for requirement in map(
        Requirement, [*project["dependencies"], *(one for needs in extras.values() for one in needs)]
    ):
        yield canonicalize_name(requirement.name)
        for extra in requirement.extras:
            for brought in map(Requirement, requires(requirement.name) or []):
                if brought.marker and not brought.marker.evaluate() and brought.marker.evaluate({"extra": extra}):
                    yield canonicalize_name(brought.name)


def test_every_distribution_that_is_imported_is_declared() -> None:
    distributions, known = packages_distributions(), set(declared())
    undeclared = {
        (where, name)
        for where, name in imported()
        if name not in {*sys.stdlib_module_names, "drillster_pipeline"}
        # What is not installed beside the rest, as dagster_dbt, has the name of its distribution.
        and not known & {canonicalize_name(one) for one in distributions.get(name, [name])}
    }
    assert undeclared == set()
