"""Mutants of the guarantees: does any of the named tests die of each?

    python benchmarks/differential/mutate.py --tree . [--only P1,T2] [--first] [--list]

A mutant is (functions that it may be in, pattern, what comes instead). It is looked for in functions of these names
anywhere in the package; where no function of the names has it, in the whole package, if it is there just once. One
that is not found is reported as `retarget`: mend its names or its pattern. Results: results/mutants-<head>.jsonl.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
WORK = Path(tempfile.gettempdir()) / "mutants"


NO_SHRINKING = """
import hypothesis as _h
_h.settings.register_profile("mutants", _h.settings.default, phases=(_h.Phase.explicit, _h.Phase.generate))
_h.settings.load_profile("mutants")
"""


@dataclass(frozen=True)
class Mutant:
    id: str
    area: str
    functions: str
    """Names, with | between them."""
    pattern: str
    instead: str
    tests: str
    """Globs below tests/; the first that kills ends the run. `glob::expression` for pytest -k."""
    first: bool = False
    """One of the two dozen that are run first."""


API = "api/test_paging.py api/test_paging_and_counts.py api/test_paging_that_leads_nowhere.py"
ORDER = "warehouse/test_entities.py warehouse/test_order.py warehouse/test_history.py"
FORGET = "pipeline/test_forget_interrupted.py export/test_forget_interrupted.py pipeline/test_forget.py export/test_forget.py pipeline/test_forget_property.py export/test_forget_property.py"
MUTANTS = [
    # the proof that a list was read to its end
    Mutant("P1", "paging", "doubtful|needs_second_pass", r"< counted and self\._counts", "> counted and self._counts", API, True),
    Mutant("P2", "paging", "_why_stuck|_problem_with", r"str\(cursor\) == self\.(_cursor|_pass\.cursor)", "False", API, True),
    Mutant("P3", "paging", "_why_stuck|_problem_with", r"self\.(_|_pass\.)idle_pages >= MOST_(PAGES_WITHOUT_NEWS|IDLE_PAGES)", "False", API),
    Mutant("P4", "paging", "_follow_cursor|_by_cursor", r"if not self\.(_whole_before|_has_ended):", "if False:", API),
    Mutant("P5", "paging", "_ends", r"(?<=return count )< min\((page\.)?size, SMALLEST_PAGE\)", "<= SMALLEST_PAGE", API, True),
    Mutant("P6", "paging", "_account|add_page", r"(self\._|this\.)repeated\.add\(key\)", "pass", API),
    # tokens
    Mutant("T1", "token renewal", "_renew|renew", r"token\.generation != refused\.generation|token is not refused", "True", "api/test_tokens.py", True),
    Mutant("T2", "token renewal", "_renew_now", r"self\._clock\(\) < fallback\.expires_at", "True", "api/test_tokens.py", True),
    Mutant("T3", "token renewal", "token", r"now < token\.mandatory_at", "now < token.expires_at", "api/test_tokens.py"),
    Mutant("T4", "token renewal", "_renew_now", r"self\._refused_until = .*", "pass", "api/test_tokens.py api/test_token_refusals.py"),
    # the budget of retries
    Mutant("R1", "retry budget", "add_failure", r"lasted - self\._excused > self\._(backoff|budget|policy)\.seconds", "False", "api/test_backoff.py api/test_retry*.py api/test_client_retries.py", True),
    Mutant("R2", "retry budget", "add_failure", r"lasted \+ (asked|minimum) > self\._(backoff|budget|policy)\.longest", "False", "api/test_backoff.py api/test_retry*.py api/test_client_retries.py"),
    Mutant("R3", "retry budget", "retry_after", r"min\(float\(value\), RETRY_AFTER_CAP\)", "float(value)", "api/test_backoff.py api/test_retry*.py api/test_client_retries.py"),
    Mutant("R4", "retry budget", "_give_up", r"> MOST_GIVEN_UP", "> 10**6", "api/test_capture*.py pipeline/test_outages.py export/test_outages.py"),
    Mutant("R5", "retry budget", "run", r"\.given_up == 1\]", ".given_up == 99]", "pipeline/test_outages.py export/test_outages.py api/test_capture*.py", True),
    # the guard
    Mutant("G1", "guard", "share_exceeded", r"gone > accepted \* present", "gone > 2 * accepted * present", "warehouse/test_validation.py", True),
    Mutant("G2", "guard", "bearable|max_rejects", r"max\(REJECT_ROWS, ", "max(10 * REJECT_ROWS, ", "warehouse/test_validation.py warehouse/test_validation.py", True),
    Mutant("G3", "guard", "_explained", r"if parent\.rows_to_delete < max\(parent\.rows_present, 1\):", "if True:", "warehouse/test_validation.py"),
    Mutant("G4", "guard", "nights_waiting|unpublished_captures", r"and not is_refused\(\w+, refs\[-1\]\)", "", "pipeline/test_loads.py export/test_loads.py pipeline/test_guard.py pipeline/test_publish.py"),
    Mutant("G5", "guard", "_too_many_rejects", r"own > limit or ", "", "warehouse/test_validation.py warehouse/test_validation.py"),
    # the order of loads
    Mutant("S1", "scd2 order", "covers|_find_observed|_find_seen", r"(?<=rows\.c\.valid_from )<= (?=day|self\._day)", "< ", ORDER, True),
    Mutant("S2", "scd2 order", "leave_to_this_load", r"\.values\(in_history=sa\.false\(\)\)", ".values(in_history=sa.true())", ORDER),
    Mutant("S3", "scd2 order", "_find_ends", r"changes\.c\.gone_on >= changes\.c\.seen_next", "changes.c.gone_on > changes.c.seen_next", ORDER),
    Mutant("S4", "scd2 order", "_find_unseen_again", r"other\.c\.is_seen\.is_\(sa\.false\(\)\),?", "sa.true(),", ORDER),
    Mutant("S5", "scd2 order", "written_before", r"loads\.c\.export_date <= self\.export_date", "loads.c.export_date >= self.export_date", "warehouse/test_events.py warehouse/test_order.py", True),
    # absence
    Mutant("A1", "absence", "_mark_absent", r"rows\.c\.deleted_on > day", "rows.c.deleted_on < day", ORDER),
    Mutant("A2", "absence", "_write_seen", r"rows\.c\.last_seen_on <= day", "rows.c.last_seen_on >= day", ORDER, True),
    Mutant("A3", "absence", "is_complete", r"plan\.(mode|load_type) is \w+\.FULL and ", "", "warehouse/test_entities.py warehouse/test_validation.py warehouse/test_order.py", True),
    # what a load could not observe
    Mutant("U1", "unobserved", "_matches", r"yield sa\.and_\(\w+\.c\.scope == GROUP, .*\)", "pass", "warehouse/test_entities.py warehouse/test_order.py", True),
    Mutant("U2", "unobserved", "stage_exceptions|stage_unobserved", r"staging\.rejected\[table\.name\](?=:)", "staging.rejected[table.name] < 0", "warehouse/test_entities.py warehouse/test_order.py"),
    Mutant("U3", "unobserved", "_own_holes|_own_gaps", r"not in gone:", "is not None:", "pipeline/test_guard.py pipeline/test_loads.py"),
    Mutant("U4", "unobserved", "_holes|_gaps", r"for parent in RESOURCES\[resource\]\.parents for", "for parent in () for", "pipeline/test_guard.py pipeline/test_loads.py", True),
    # erasure
    Mutant("E1", "erase", "redact", r"named\[\"unit\"\] = dict\(unit\(named\[\"unit\"\]\)\)", "pass", FORGET, True),
    Mutant("E2", "erase", "_is_person", r"email\.lower\(\) in self\._emails", "email in self._emails", FORGET),
    Mutant("E3", "erase", "_renew_hashes", r"if \"row_hash\" not in table\.c:", "if True:", FORGET, True),
    Mutant("E4", "erase", "_renew_seals", r"if earlier:", "if False:", FORGET),
    # privacy
    Mutant("V1", "privacy", "_person", r"\(self\._drop and name in _DROPPED\)", "False", "privacy/test_modes.py privacy/test_where_people_are.py", True),
    Mutant("V2", "privacy", "unit", r"return \{name: without_addresses\(value, self\.address\) for name, value in params\.items\(\)\}", "return params", "privacy/*.py api/test_leaks.py pipeline/test_captures*.py"),
    Mutant("V3", "privacy", "_note_names|_add_names", r"if isinstance\(email, str\) and email\.strip\(\):", "if False:", "privacy/*.py"),
    Mutant("V4", "privacy", "_require_as_private", r"_PRIVACY\.index\(then\) < _PRIVACY\.index\(now\)", "False", "pipeline/test_captures_private.py export/test_captures_private.py pipeline/test_loads.py export/test_loads.py", True),
    # the seal
    Mutant("C1", "seal check", "verified", r"if hashlib\.sha256\(content\)\.hexdigest\(\) != sha256:", "if False:", "archive/test_captures.py archive/test_parts.py archive/test_*.py", True),
    Mutant("C2", "seal check", "__init__", r"if sealed_as != \(.*\):", "if False:", "archive/test_captures.py archive/test_*.py"),
    Mutant("C3", "seal check", "seal", r"self\._still_ours\(\)|self\._check_lock\(\)", "pass", "archive/test_lease.py archive/test_writing.py archive/test_*.py pipeline/test_captures_in_s3.py export/test_captures_in_s3.py", True),
    Mutant("C4", "seal check", "_note|_add_line", r"before == (line|record)\.(page|number) - 1", "True", "archive/test_writing.py archive/test_captures.py archive/test_*.py"),
    # locks
    Mutant("L1", "lock", "_try_flock|_try_lock", r"except BlockingIOError:\n\s+return False", "except BlockingIOError:\n            return True", "warehouse/test_lock.py", True),
    Mutant("L2", "lock", "_own|_acquire", r"alone = .*== \[own\]", "alone = True", "archive/test_lease.py", True),
    Mutant("L3", "lock", "_flock", r"if path\.exists\(\) and os\.path\.samestat\(.*\):", "if True:", "archive/test_local.py archive/test_captures.py"),
    # partitions
    Mutant("X1", "partition", "_old_partitions", r"_month\(first\)\[1\] <= before", "first <= before", "warehouse/test_partitions.py"),
    Mutant("X2", "partition", "_old_partitions", r"bounds == _bounds\(first\) and ", "", "warehouse/test_partitions.py"),
    # staging
    Mutant("N1", "staging", "leave_out_repeated", r"rows\.c\[RANK\]\.desc\(\)", "rows.c[RANK].asc()", "warehouse/test_repeats.py warehouse/test_staging.py pipeline/test_page_order.py export/test_page_order.py", True),
    Mutant("N2", "staging", "reject", r"self\.unreadable\.add\(.*\)", "pass", "warehouse/test_staging.py warehouse/test_validation.py warehouse/test_placeholders.py pipeline/test_loads.py export/test_loads.py"),
    Mutant("N3", "staging", "_publish|merge_snapshot", r"(?<=    )if is_complete:(?=\n)", "if True:", "warehouse/test_snapshots.py"),
    Mutant("N4", "staging", "leave_out_repeated_rejects", r"rejects\.c\.row_key\.is_not\(None\),", "", "warehouse/test_repeats.py warehouse/test_staging.py"),
    Mutant("K1", "resume", "_waits", r"if is_refused\(\w+, sealed\.ref\):", "if False:", "pipeline/test_captures.py export/test_captures.py pipeline/test_loads.py export/test_loads.py"),
    Mutant("K2", "resume", "resumable", r"begun\.get\(\"purpose\"\) == dict\(purpose\) and", "", "archive/test_captures.py pipeline/test_captures_interrupted.py export/test_captures_interrupted.py", True),
]  # fmt: skip


def functions(source: str) -> list[tuple[str, int, int]]:
    """Name, and first and last character of every function."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    return [
        (node.name, starts[node.lineno - 1], starts[node.end_lineno or node.lineno])
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def place(tree: Path, mutant: Mutant) -> tuple[Path, int, int] | None:
    """File, and where in it the pattern is."""
    names, anywhere = set(mutant.functions.split("|")), []
    for file in sorted((tree / "drillster_pipeline").rglob("*.py")):
        if "sandbox" in file.parts:
            continue
        source = file.read_text()
        for match in re.finditer(mutant.pattern, source):
            if any(n in names and a <= match.start() < b for n, a, b in functions(source)):
                return file, match.start(), match.end()
            anywhere.append((file, match.start(), match.end()))
    return anywhere[0] if len(anywhere) == 1 else None


class Tree:
    """A copy of a checkout, which is mutated; its venv is that of the original."""

    def __init__(self, origin: Path) -> None:
        self.origin = origin
        head = subprocess.run(["git", "-C", origin, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
        self.head = head.stdout.strip()
        self.copy = WORK / str(os.getpid())
        shutil.rmtree(self.copy, ignore_errors=True)
        leave_out = shutil.ignore_patterns(".git", ".venv", "__pycache__", "data", ".hypothesis")
        shutil.copytree(origin, self.copy, ignore=leave_out)
        with (self.copy / "tests" / "conftest.py").open("a") as conftest:
            conftest.write(NO_SHRINKING)  # that it fails is all that we ask

    def tests(self, mutant: Mutant) -> list[str]:
        return list(
            dict.fromkeys(
                str(f.relative_to(self.copy))
                for g in mutant.tests.split()
                for f in sorted((self.copy / "tests").glob(g))
                if f.name.startswith("test_")
            )
        )

    def run(self, tests: list[str], seconds: float) -> tuple[str, str]:
        env = {**os.environ, "PYTHONPATH": str(self.copy), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [
            "nice",
            "-n",
            "10",
            str(self.origin / ".venv/bin/python"),
            "-m",
            "pytest",
            "-x",
            "-rfE",
            "-p",
            "no:cacheprovider",
            "--no-header",
            "--timeout",
            "180",
            *tests,
        ]
        with subprocess.Popen(
            command,
            cwd=self.copy,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                output, _ = process.communicate()
                return "timeout", output[-300:]
        failed = re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", output, re.MULTILINE)
        if process.returncode == 0:
            return "survived", ""
        return ("killed", failed[0]) if failed else ("error", output[-500:])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tree", type=Path, default=Path())
    parser.add_argument("--only", default="")
    parser.add_argument("--first", action="store_true", help="only the two dozen that matter most")
    parser.add_argument("--rest", action="store_true", help="only the others")
    parser.add_argument("--list", action="store_true", help="only say where each is")
    parser.add_argument("--seconds", type=float, default=900)
    parser.add_argument("--trust", action="store_true", help="do not look whether a test that kills fails anyway")
    parser.add_argument("--again", action="store_true", help="also those that there are results of")
    parser.add_argument("--until", help="HH:MM (UTC): begin none after it")
    args = parser.parse_args()
    only = set(filter(None, args.only.split(",")))
    order = args.only.split(",") if only else [m.id for m in MUTANTS]
    chosen = [
        m
        for m in sorted(MUTANTS, key=lambda m: order.index(m.id) if m.id in order else 0)
        if (not only or m.id in only) and (m.first or not args.first) and not (m.first and args.rest)
    ]
    tree = Tree(args.tree.resolve())
    results = HERE / "results" / f"mutants-{tree.head}.jsonl"
    results.parent.mkdir(exist_ok=True)
    done = (
        {json.loads(line)["id"] for line in results.read_text().splitlines()}
        if results.exists() and not args.again
        else set()
    )
    clean: dict[tuple[str, ...], str] = {}
    for mutant in chosen:
        found, tests = place(tree.copy, mutant), tree.tests(mutant)
        if args.list:
            where = (
                f"{found[0].relative_to(tree.copy)}:{found[0].read_text()[: found[1]].count(chr(10)) + 1}"
                if found
                else "RETARGET"
            )
            print(mutant.id, mutant.area, where, tests or "NO TESTS")
            continue
        if mutant.id in done:
            continue
        if args.until and time.strftime("%H:%M", time.gmtime()) >= args.until:
            break
        started, outcome, detail = time.monotonic(), "retarget", ""
        if found and tests:
            file, start, end = found
            source = file.read_text()
            file.write_text(source[:start] + mutant.instead + source[end:])
            try:
                compile(file.read_text(), str(file), "exec")
                outcome, detail = tree.run(tests, args.seconds)
                if outcome == "killed" and not args.trust:  # by the mutant, or does the test fail anyway?
                    file.write_text(source)
                    key = (detail,)
                    clean[key] = clean.get(key) or tree.run([detail], args.seconds)[0]
                    outcome = "killed" if clean[key] == "survived" else "fails anyway"
            finally:
                file.write_text(source)
        line = {
            "id": mutant.id,
            "area": mutant.area,
            "outcome": outcome,
            "by": detail,
            "tests": tests,
            "seconds": round(time.monotonic() - started),
        }
        with results.open("a") as out:
            out.write(json.dumps(line) + "\n")
        print(mutant.id, mutant.area, outcome, detail, line["seconds"], "s", flush=True)


if __name__ == "__main__":
    try:
        main()
    finally:
        shutil.rmtree(WORK / str(os.getpid()), ignore_errors=True)
