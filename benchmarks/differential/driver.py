"""Run scenarios through two versions of drillster-pipeline that ask the same sandbox, and compare all that they leave.

Runs in the venv of the commit before. See README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

import scenarios
import sqlalchemy as sa
from scenarios import Scenario, Step

from drillster_pipeline.sandbox import Sandbox
from drillster_pipeline.warehouse import CONTRACT
from drillster_pipeline.warehouse.views import VIEWS

HERE = Path(__file__).parent
BASE = Path(os.environ.get("DIFFERENTIAL_BASE", "../base")).resolve()
"""Checkout of the earlier version, with a .venv; its sandbox serves both sides."""
WORK = Path(tempfile.gettempdir()) / "differential"
STEP_SECONDS = 240

VOLATILE = {
    "*": {"row_hash", "loaded_at"},
    "loads": {"started_at", "finished_at", "program_version", "run_id", "manifest_sha256", "loaded_at"},
    "rejected_rows": {"row_number"},
    "erasures": {"erasure_id", "erased_at"},
    "latest_load": {"age_seconds", "finished_at"},
    "table_freshness": {"age_seconds", "finished_at"},
}
"""Columns that differ between two runs of the same program."""
REASONS: list[tuple[str, str]] = json.loads((HERE / "reasons.json").read_text())
"""Wordings: a pattern, and what both versions' texts become."""
CAPTURE_ID = re.compile(r"(\d{8}T\d{6}Z-(?:snapshot|events))-[0-9a-f]{8}")


# -- one side -----------------------------------------------------------------------------------------------------------


class Program:
    """A version that has all imported and forks a process for each adapter."""

    def __init__(self, tree: Path, script: str) -> None:
        WORK.mkdir(exist_ok=True)
        self.address = WORK / f"{script}.{os.getpid()}.{time.monotonic_ns()}"
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("DRILLSTER_", "DAGSTER_"))}
        clean.pop("PYTHONPATH", None)
        self.log = WORK / f"{script}.log"
        self.process = subprocess.Popen(
            [str(tree / ".venv" / "bin" / "python"), str(HERE / script), str(self.address)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log.open("wb"),
            cwd=WORK,
            env=clean,
            text=True,
        )
        assert self.process.stdout
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit(f"the adapter does not start: {self.log.read_text()[-3000:]}")

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.address.unlink(missing_ok=True)


class Adapter:
    """A process of one version."""

    def __init__(self, program: Program, folder: Path, env: dict[str, str]) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(program.address))
        self._stream = self._socket.makefile("rw", encoding="utf-8", newline="\n")
        answer = self._ask({"folder": str(folder), "env": env})
        assert answer
        self.pid = answer["pid"]
        self.is_dead = False

    def _ask(self, order: dict[str, Any]) -> dict[str, Any] | None:
        try:
            self._stream.write(json.dumps(order) + "\n")
            self._stream.flush()
            line = self._stream.readline()
        except ConnectionError:
            return None
        return json.loads(line) if line.strip() else None

    def order(self, order: dict[str, Any]) -> dict[str, Any]:
        """The answer; that it was killed is one, too."""
        hung = threading.Event()

        def kill() -> None:
            hung.set()
            os.kill(self.pid, signal.SIGKILL)

        watchdog = threading.Timer(STEP_SECONDS, kill)
        watchdog.start()
        answer = self._ask(order)
        watchdog.cancel()
        if answer is None:
            self.close()
            return {"code": "hung" if hung.is_set() else "killed"}
        return answer

    def close(self) -> None:
        self.is_dead = True
        with contextlib.suppress(OSError):
            self._stream.close()
        self._socket.close()


class Database:
    """A database of one side, made and dropped."""

    def __init__(self, kind: str, name: str, folder: Path) -> None:
        self.kind, self.name = kind, name
        if kind == "sqlite":
            self.env = {"DRILLSTER_WAREHOUSE_URL": f"sqlite:///{folder}/warehouse.sqlite"}
            self.url = f"sqlite:///{folder}/warehouse.sqlite"
        elif kind == "postgresql":
            self.url = "postgresql+psycopg://postgres@127.0.0.1:5432/differential"
            self.env = {"DRILLSTER_WAREHOUSE_URL": self.url, "DRILLSTER_WAREHOUSE_SCHEMA": name}
            self._admin(
                "postgresql+psycopg://postgres@127.0.0.1:5432/postgres", "CREATE DATABASE differential", ok=True
            )
            self._admin(self.url, f"DROP SCHEMA IF EXISTS {name} CASCADE")
        else:
            self.url = f"mysql+pymysql://root@127.0.0.1:3306/{name}"
            self.env = {"DRILLSTER_WAREHOUSE_URL": self.url}
            self._admin("mysql+pymysql://root@127.0.0.1:3306", f"DROP DATABASE IF EXISTS {name}")
            self._admin("mysql+pymysql://root@127.0.0.1:3306", f"CREATE DATABASE {name}")

    @staticmethod
    def _admin(url: str, statement: str, *, ok: bool = False) -> None:
        engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql(statement)
        except sa.exc.DBAPIError:
            if not ok:
                raise

    def drop(self) -> None:
        if self.kind == "postgresql":
            self._admin(self.url, f"DROP SCHEMA IF EXISTS {self.name} CASCADE")
        elif self.kind == "mariadb":
            self._admin("mysql+pymysql://root@127.0.0.1:3306", f"DROP DATABASE IF EXISTS {self.name}")

    def contents(self) -> dict[str, list[dict[str, Any]]]:
        """Every table of the contract and every view, as they are."""
        engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        if self.kind == "sqlite" and not Path(self.url.removeprefix("sqlite:///")).exists():
            return {}
        inspector = sa.inspect(engine)
        schema = self.name if self.kind == "postgresql" else None
        there = {*inspector.get_table_names(schema=schema), *inspector.get_view_names(schema=schema)}
        found = {}
        with engine.connect() as connection:
            if self.kind == "postgresql":
                connection.exec_driver_sql("SET timezone = 'UTC'")
            for name in (*CONTRACT, *VIEWS):
                if name in there and name != "view_definitions":
                    quoted = f"`{name}`" if self.kind == "mariadb" else f'"{name}"'
                    place = f"{schema}.{quoted}" if schema else quoted
                    rows = connection.exec_driver_sql(f"SELECT * FROM {place}").mappings()
                    found[name] = [{k: plain(v) for k, v in row.items()} for row in rows]
        return found


def plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True)
    return str(value)


class Side:
    """One version on its own archive and warehouse."""

    def __init__(self, scenario: Scenario, sandbox: Sandbox, db: str, label: str, pending: list[Any]) -> None:
        self.scenario, self.sandbox, self.pending = scenario, sandbox, pending
        self.folder = WORK / f"{scenario.seed}-{db}" / label
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.database = Database(db, f"diff_{label}_{scenario.seed}", self.folder)
        self.env = {
            **sandbox.environment(),
            **scenario.env,
            **self.database.env,
            "DRILLSTER_ARCHIVE_URL": str(self.folder / "archive"),
            "DRILLSTER_REPORTS_FOLDER": str(self.folder / "reports"),
            "DAGSTER_HOME": str(self.folder / "dagster"),
        }
        self.adapter: Adapter | None = None
        self.program: Program | None = None
        self.codes: list[Any] = []
        self.seconds: list[float] = []
        self.outputs: list[str] = []

    def step(self, step: Step, program: Program) -> None:
        if self.adapter is not None and (self.adapter.is_dead or self.program is not program):
            self.adapter.close()
            self.adapter = None
        if self.adapter is None:
            self.program = program
            self.adapter = Adapter(program, self.folder, self.env)
        self.sandbox.now, self.sandbox.faults = step.moment, step.faults
        self.pending[:] = [step.kill_request, self.adapter.pid] if step.kill_request else []
        started = time.monotonic()
        answer = self.adapter.order({**step.what, "now": step.now.isoformat(), "env": step.env})
        self.pending.clear()
        self.seconds.append(round(time.monotonic() - started, 1))
        self.codes.append(answer["code"])
        self.outputs.append(str(answer.get("error", "")) + answer.get("output", ""))

    def result(self) -> dict[str, Any]:
        if self.adapter is not None:
            self.adapter.close()
            self.adapter = None
        tables = self.database.contents()
        replace = {str(self.folder): "<dir>", self.sandbox.base_url: "<sandbox>"}
        count: Counter[str] = Counter()
        for load in sorted(tables.get("loads", []), key=lambda row: str(row["started_at"])):
            key = f"{load['kind']} {load['export_date']}"
            count[key] += 1
            replace[load["load_id"]] = f"load {count[key]} of {key}"
        text = json.dumps(
            {
                "codes": self.codes,
                "outputs": self.outputs,
                "tables": {name: rows_of(name, rows) for name, rows in tables.items()},
                "archive": archive(self.folder / "archive"),
                "evidence": evidence(self.folder),
                "left": left(self.folder),
            }
        )
        for old, new in replace.items():
            text = text.replace(old, new)
        return json.loads(CAPTURE_ID.sub(r"\1", text))


def rows_of(name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    out = VOLATILE["*"] | VOLATILE.get(name, set())
    kept = [{k: v for k, v in row.items() if k not in out} for row in rows]
    if name == "rejected_rows":
        for row in kept:
            for pattern, instead in REASONS:
                row["reason"] = re.sub(pattern, instead, row["reason"])
            row["record"] = json.dumps(json.loads(row["record"]), sort_keys=True)
    return kept


def archive(folder: Path) -> dict[str, Any]:
    """What sealed captures say, without what differs from run to run; and what else is there."""
    found: dict[str, Any] = {}
    for capture in sorted(folder.glob("????-??-??/*-*-*")):
        if not capture.is_dir():
            continue
        key = f"{capture.parent.name} {capture.name}"
        manifest_file = capture / "manifest.json"
        if not manifest_file.exists():
            found[key] = {"sealed": False}
            continue
        manifest = json.loads(manifest_file.read_bytes())
        resources = manifest.pop("resources")
        for name in ("walk", "run_id", "program_version"):
            manifest.pop(name, None)
        for entry in manifest.get("redacted", []):
            entry.pop("was_sha256", None)
            for name in [name for name in entry if "sha" in name]:
                entry.pop(name)
        entry_of, lines_of = {}, {}
        for resource, entry in resources.items():
            lines_of[resource] = lines(capture / resource, entry)
            entry_of[resource] = {
                k: sorted(v, key=repr) if isinstance(v, list) else v
                for k, v in entry.items()
                if k not in {"parts", "superseded", "bytes", "raw_bytes", "seconds", "attempts"}
            }
        found[key] = {
            "sealed": True,
            "manifest": {k: sorted(v, key=repr) if isinstance(v, list) else v for k, v in manifest.items()},
            "resources": entry_of,
            "lines": lines_of,
            "marks": {
                p.name: p.read_text()
                for p in sorted(capture.glob("*.json"))
                if p.name in {"refused.json", "confirmed.json"}
            },
        }
    return found


def lines(folder: Path, entry: dict[str, Any]) -> list[str]:
    superseded = {(key, attempt) for key, attempt in entry.get("superseded", ())}
    found = []
    for part in entry["parts"]:
        content = (folder / part["name"]).read_bytes()
        if hashlib.sha256(content).hexdigest() != part["sha256"]:
            found.append(f"{part['name']} is not what was sealed")
        for text in zlib.decompress(content, 16 + zlib.MAX_WBITS).splitlines():
            line = json.loads(text)
            unit = json.dumps(line["unit"], separators=(",", ":"), sort_keys=True)
            if (unit, line.pop("attempt", 1)) not in superseded:
                found.append(json.dumps(line, sort_keys=True))
    return sorted(found)


def evidence(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for file in sorted(folder.glob("evidence-*.csv")):
        provenance = json.loads(file.with_name(f"{file.name}.provenance.json").read_bytes())
        provenance.pop("written_at", None)
        provenance.pop("program_version", None)
        for name in ("load", "capture"):
            for volatile in ("finished_at", "program_version", "run_id", "manifest_sha256", "redacted", "parts"):
                if provenance.get(name):
                    provenance[name].pop(volatile, None)
        found[file.name] = {"csv": file.read_text(encoding="utf-8-sig"), "provenance": provenance}
    return found


def left(folder: Path) -> list[str]:
    """Files in the archive that are no part of a capture: of writing, locks, notes of an erasure."""
    root = folder / "archive"
    names = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()] if root.exists() else []
    return sorted(name for name in names if name.startswith((".writing", "forgetting", "alerts")) or ".partial" in name)


# -- two sides ----------------------------------------------------------------------------------------------------------


def compare(base: dict[str, Any], new: dict[str, Any]) -> list[str]:
    found = []
    if base["codes"] != new["codes"]:
        pairs = enumerate(zip(base["codes"], new["codes"], strict=True))
        found += [f"exit code of step {n}: {a} -> {b}" for n, (a, b) in pairs if a != b]
    for name in sorted({*base["tables"], *new["tables"]}):
        found += _table(name, base["tables"].get(name), new["tables"].get(name))
    for key in sorted({*base["archive"], *new["archive"]}):
        found += _capture(key, base["archive"].get(key), new["archive"].get(key))
    for name in sorted({*base["evidence"], *new["evidence"]}):
        found += _values(f"evidence {name}", base["evidence"].get(name), new["evidence"].get(name))
    if base["left"] != new["left"]:
        found.append(f"files beside captures: {base['left']} -> {new['left']}")
    return found


def _table(name: str, base: list[dict[str, Any]] | None, new: list[dict[str, Any]] | None) -> list[str]:
    if base is None or new is None:
        return [] if base == new else [f"{name}: is there only in {'base' if new is None else 'new'}"]
    found = []
    columns = [*(base[0] if base else ())], [*(new[0] if new else ())]
    common = [column for column in columns[0] if column in columns[1]] if base and new else columns[0] or columns[1]
    if base and new and set(columns[0]) != set(columns[1]):
        found.append(
            f"{name}: columns {sorted(set(columns[0]) - set(columns[1]))} -> {sorted(set(columns[1]) - set(columns[0]))}"
        )
    one, two = (Counter(tuple(repr(row[c]) for c in common) for row in rows) for rows in (base, new))
    gone, more = list((one - two).elements()), list((two - one).elements())
    if gone or more:
        found.append(f"{name}: {len(gone)} rows only in base, {len(more)} only in new (of {len(base)})")
        for a in gone[:3]:
            # The most similar of the others, to see which column it is.
            b = max(more, key=lambda other: sum(map(str.__eq__, a, other)), default=None)
            shown = [f"{c}: {x} -> {y}" for c, x, y in zip(common, a, b, strict=True) if x != y] if b else ["gone"]
            key = [f"{c}={x}" for c, x in zip(common, a, strict=True)][:4]
            found.append(f"  {name} ({', '.join(key)}): {'; '.join(shown)}"[:1500])
        if not gone:
            found += [f"  {name} only in new: {dict(zip(common, b, strict=True))}"[:1500] for b in more[:2]]
    return found


def _capture(key: str, base: dict[str, Any] | None, new: dict[str, Any] | None) -> list[str]:
    if base is None or new is None:
        return [f"capture {key}: only in {'base' if new is None else 'new'}"]
    found = []
    for name in ("sealed", "manifest", "resources", "marks"):
        found += _values(f"capture {key} {name}", base.get(name), new.get(name))
    for resource in sorted({*base.get("lines", {}), *new.get("lines", {})}):
        one, two = Counter(base.get("lines", {}).get(resource, [])), Counter(new.get("lines", {}).get(resource, []))
        if one != two:
            gone, more = list((one - two).elements()), list((two - one).elements())
            found.append(f"capture {key} {resource}: {len(gone)} lines only in base, {len(more)} only in new")
            found += [f"  base {line[:400]}" for line in gone[:2]] + [f"  new {line[:400]}" for line in more[:2]]
    return found


def _values(where: str, base: Any, new: Any) -> list[str]:
    if base == new:
        return []
    if isinstance(base, dict) and isinstance(new, dict):
        return [
            line for name in sorted({*base, *new}) for line in _values(f"{where}.{name}", base.get(name), new.get(name))
        ]
    return [f"{where}: {str(base)[:600]} -> {str(new)[:600]}"]


class Runner:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.new = Path(args.new).resolve()
        head = subprocess.run(["git", "-C", self.new, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
        self.version = head.stdout.strip() or "?"
        self.is_base = self.new == BASE

    @cached_property
    def old_program(self) -> Program:
        return Program(BASE, "adapter_base.py")

    @cached_property
    def new_program(self) -> Program:
        return Program(self.new, "adapter_new.py")

    def close(self) -> None:
        for name in ("old_program", "new_program"):
            if name in vars(self):
                getattr(self, name).close()

    def side(self, scenario: Scenario, label: str, *, upgrade: bool = False) -> dict[str, Any]:
        pending: list[Any] = []
        with Sandbox(size=scenario.size, seed=scenario.seed, now=scenario.steps[0].moment) as sandbox:
            begin = sandbox.recorder.begin

            def counted(*args: Any) -> Any:
                if pending:
                    pending[0] -= 1
                    if pending[0] == 0:
                        os.kill(pending[1], signal.SIGKILL)
                        pending.clear()
                return begin(*args)

            sandbox.recorder.begin = counted  # type: ignore[method-assign]
            side = Side(scenario, sandbox, self.args.db, label, pending)
            try:
                for number, step in enumerate(scenario.steps):
                    old = label.startswith("base") or (upgrade and number < (scenario.upgrade_at or 0))
                    side.step(step, self.old_program if old or self.is_base else self.new_program)
                if self.args.keep:
                    print(label, side.seconds, flush=True)
                return side.result()
            finally:
                if side.adapter is not None:
                    side.adapter.close()
                side.database.drop()
                if not self.args.keep:
                    shutil.rmtree(side.folder, ignore_errors=True)

    def base(self, scenario: Scenario) -> dict[str, Any]:
        """What the commit before leaves: run once, then kept."""
        sources = "".join((HERE / name).read_text() for name in ("scenarios.py", "adapter.py", "adapter_base.py"))
        mark = hashlib.sha256(
            (sources + Path(__file__).read_text().partition("# -- two sides")[0]).encode()
        ).hexdigest()
        file = HERE / "cache" / self.args.db / f"{scenario.seed}.json.gz"
        if file.exists():
            kept = json.loads(gzip.decompress(file.read_bytes()))
            if kept["mark"] == mark:
                return kept["result"]
        result = self.side(scenario, "base")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gzip.compress(json.dumps({"mark": mark, "result": result}).encode()))
        return result

    def run(self, seed: int) -> dict[str, Any]:
        started = time.monotonic()
        scenario = scenarios.make(seed)
        base = self.base(scenario)
        upgrade = scenario.upgrade_at is not None and not self.args.no_upgrade
        new = self.side(scenario, "new", upgrade=upgrade)
        accepted = [re.compile(pattern) for pattern in json.loads((HERE / "accepted.json").read_text())]
        differences = [d for d in compare(base, new) if not any(pattern.search(d) for pattern in accepted)]
        outputs = [
            f"step {n} {step.what.get('args', step.what['op'])}: base {base['codes'][n]} {base['outputs'][n]!r:.700} "
            f"| new {new['codes'][n]} {new['outputs'][n]!r:.700}"
            for n, step in enumerate(scenario.steps)
            if base["codes"][n] != new["codes"][n] or base["codes"][n] in {"traceback", 1}
        ]
        return {
            "seed": seed,
            "db": self.args.db,
            "new": self.version,
            "upgrade_at": scenario.upgrade_at if upgrade else None,
            "seconds": round(time.monotonic() - started, 1),
            "steps": len(scenario.steps),
            "codes": base["codes"],
            "rows": {
                name: len(rows) for name, rows in base["tables"].items() if name in {"loads", "results", "accounts"}
            },
            "differences": differences,
            "outputs": outputs,
        }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--new", required=True, help="a checkout with .venv; the base itself must give no difference")
    parser.add_argument("--db", default="sqlite", choices=["sqlite", "postgresql", "mariadb"])
    parser.add_argument("--scenarios", type=int, default=40)
    parser.add_argument("--start", type=int, default=1)
    parser.add_argument("--again", action="store_true", help="also scenarios that this version has results of")
    parser.add_argument("--keep", action="store_true", help=f"keep archive and warehouse in {WORK}")
    parser.add_argument("--no-upgrade", action="store_true", help="the new version does all steps")
    parser.add_argument("--results", help="name of the file of results; else database and commit")
    parser.add_argument("--until", help="HH:MM (UTC): begin no scenario after it")
    args = parser.parse_args()
    runner = Runner(args)
    name = args.results or f"{args.db}-{'base' if runner.is_base else runner.version}"
    results = HERE / "results" / f"{name}.jsonl"
    results.parent.mkdir(exist_ok=True)
    done = set()
    if results.exists() and not args.again:
        done = {json.loads(line)["seed"] for line in results.read_text().splitlines()}
    bad = 0
    for seed in range(args.start, args.start + args.scenarios):
        if seed in done:
            continue
        if args.until and time.strftime("%H:%M", time.gmtime()) >= args.until:
            break
        try:
            result = runner.run(seed)
        except Exception as error:
            result = {
                "seed": seed,
                "db": args.db,
                "new": runner.version,
                "differences": [f"harness: {error!r}"[:2000]],
                "outputs": [],
            }
        with results.open("a") as file:
            file.write(json.dumps(result) + "\n")
        bad += bool(result["differences"])
        print(
            f"{seed} {args.db} {result.get('seconds')} s, {result.get('codes')}: {len(result['differences'])} differences",
            flush=True,
        )
        for line in [*result["differences"][:25], *result["outputs"][:6]]:
            print("   ", line[:900], flush=True)
    runner.close()
    print(f"{bad} scenarios with differences")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
