# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application's endpoints asked before a migration and after it; one report out."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import given_document, utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    InputError,
    NotSeen,
    PgopsError,
    StatementFailed,
    VerificationFailed,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import write_json
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import ConnectionOptions
from ansible_collections.pgops.supabase.plugins.module_utils.probes import database
from ansible_collections.pgops.supabase.plugins.module_utils.probes.declared import Api, Probe, read_probes
from ansible_collections.pgops.supabase.plugins.module_utils.probes.documents import (
    ProbeReport,
    ProbeResult,
    ProbeVerdict,
    Stage,
)
from ansible_collections.pgops.supabase.plugins.module_utils.probes.judgement import (
    beside_baseline,
    percentile,
    problem_of,
    reloading,
)
from ansible_collections.pgops.supabase.plugins.module_utils.probes.request import Answer, send

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

_APPLIED_STAYS = "the probes changed nothing that stays; what was applied before them stays applied"
_BEFORE = "no migration was begun; what the probes wrote is undone where their report says nothing else"
# A latency that is too high is measured again: right after a migration plans and caches are cold.
_MEASUREMENTS = 3
_PAUSE_SECONDS = 1.0


class ProbeFailed(PgopsError):
    """An endpoint did not answer as it has to, before anything was migrated."""

    code = "probe"


@dataclass(kw_only=True)
class Patience:
    """How long a run of probes may wait, all in all, for an API that comes back."""

    seconds: float

    def wait(self, pause: float, *, spent: float = 0.0) -> bool:
        """Sleep, unless that would be longer than there is left; whether it slept."""
        if pause + spent > self.seconds:
            return False
        self.seconds -= pause + spent
        time.sleep(pause)
        return True


@dataclass(frozen=True, kw_only=True)
class Asking:
    """What all probes of a run share."""

    options: ConnectionOptions
    stage: Stage
    context: ssl.SSLContext
    patience: Patience
    baseline: Mapping[str, ProbeResult]


def probe(
    options: ConnectionOptions,
    declared: Sequence[Mapping[str, Any]],
    api: Api,
    *,
    stage: Stage,
    reads_only: bool = False,
    baseline: Mapping[str, Any] | str | None = None,
    required: bool = True,
    wait_seconds: float = 30.0,
    run_dir: Path | None = None,
) -> ProbeReport:
    """Ask every probe, and judge what it found beside the baseline.

    :param reads_only: leave out those that write.
    :param baseline: the report of the stage before, as data or by its path.
    :param required: whether a probe that fails in the stage before is an error.
    :param wait_seconds: how long to wait, all in all, while the API reads the schema anew or comes back.
    :param run_dir: where the report is written as C(probes-before.json) or C(probes-after.json), on failure too.
    :raises InputError: when a probe cannot be used; nothing was sent then.
    :raises ProbeFailed: when one fails in the stage before.
    :raises VerificationFailed: when one fails in the stage after, and it is not known to have failed before.
    :raises NotSeen: when one could not be asked in the stage after.
    """
    probes = read_probes(declared, api, reads_only=reads_only)
    asking = Asking(
        options=options,
        stage=stage,
        context=_trust(api),
        patience=Patience(seconds=wait_seconds),
        baseline=_results_of(baseline),
    )
    started_at, began = utc_now(), time.monotonic()
    results = [_result(one, asking) for one in probes]
    duration = round(time.monotonic() - began, 3)
    report = _report(stage, started_at, duration, results)
    if run_dir:
        write_json(run_dir / f"probes-{stage}.json", report.as_dict())
    _require(report, required=required)
    return report


def _trust(api: Api) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=api.ca_cert)
    except ssl.SSLError as error:
        raise InputError(
            "api_ca_cert holds no certificate", where=api.ca_cert, next_step="Give the authority's certificate as PEM."
        ) from error


def _results_of(baseline: Mapping[str, Any] | str | None) -> dict[str, ProbeResult]:
    if baseline is None:
        return {}
    report = given_document(
        ProbeReport,
        baseline,
        option="baseline",
        refusal="This is not the report of probes",
        next_step="Give the path of a probes-before.json, or leave baseline out.",
    )
    return {result.name: result for result in report.probes}


def _result(one: Probe, asking: Asking) -> ProbeResult:
    """Ask one probe; its database is asked around it."""
    result = ProbeResult(
        name=one.name, method=one.request.method, url=one.request.shown, writes=one.writes, verdict="PASS"
    )
    try:
        with database.witness(asking.options) if one.asks_database else nullcontext() as connection:
            _ask(one, result, asking, connection)
    except PgopsError as error:
        # The database was not there; what the API did is not known.
        result.verdict, result.reached, result.message = "FAIL", "not_asked", error.what
    return result if asking.stage == "before" else beside_baseline(result, asking.baseline)


def _ask(one: Probe, result: ProbeResult, asking: Asking, connection: PgConnection | None) -> None:
    if connection is None:
        _measure(one, result, asking)
        return
    try:
        if _database_agrees(result, lambda: database.prepare(connection, one.given)):
            _measure(one, result, asking)
            if one.then and result.verdict == "PASS":
                # Before the migration there may be nothing yet that could see it.
                ask, query = database.unseen if asking.stage == "after" else database.misspelt, one.then
                _database_agrees(result, lambda: ask(connection, query))
    finally:
        if one.undo:
            _undo(one.undo, result, connection)


def _database_agrees(result: ProbeResult, ask: Callable[[], str | None]) -> bool:
    """Whether the database took what it was asked; what it refuses is a fault that the probe found."""
    try:
        problem = ask() or ""
    except StatementFailed as error:
        problem = error.what
    if problem:
        result.verdict, result.message = "FAIL", problem
    return not problem


def _undo(statements: str, result: ProbeResult, connection: PgConnection) -> None:
    try:
        database.commit(connection, statements, "undo")
    except PgopsError as error:
        result.notes.append(f"what it wrote stays: {error.what}")
        if result.verdict == "PASS":
            result.verdict, result.message = "WARNING", result.notes[-1]


def _measure(one: Probe, result: ProbeResult, asking: Asking) -> None:
    """Send it as often as asked, and as often again as its latency looks too high."""
    for number in range(1, _MEASUREMENTS + 1):
        answer, times = _sampled(one, asking)
        result.reached, result.status, result.samples = answer.reached, answer.status, len(times)
        problem = problem_of(answer, one.status, one.expect)
        result.verdict, result.message = ("FAIL", problem) if problem else ("PASS", "")
        if problem:
            return
        result.p50_seconds, result.p95_seconds = (round(percentile(times, p), 6) for p in (50, 95))
        result.max_seconds = round(max(times), 6)
        compared = beside_baseline(replace(result), asking.baseline)
        if compared.verdict == "PASS" or number == _MEASUREMENTS:
            return
        time.sleep(_PAUSE_SECONDS)


def _sampled(one: Probe, asking: Asking) -> tuple[Answer, list[float]]:
    """The answer that decides, and the seconds of each that came; the first that is not as expected ends it."""
    times: list[float] = []
    while True:
        answer = send(one.request, asking.context)
        pause = reloading(answer)
        if pause is None and _may_come_back(one, answer, asking):
            pause = _PAUSE_SECONDS
        if pause is not None and asking.patience.wait(pause, spent=answer.seconds):
            times = []
            continue
        if answer.reached == "answered":
            times.append(answer.seconds)
        if len(times) >= one.samples or problem_of(answer, one.status, one.expect):
            return answer, times


def _may_come_back(one: Probe, answer: Answer, asking: Asking) -> bool:
    """An endpoint that answered before the migration may be starting again; a write is never sent twice on a guess."""
    before = asking.baseline.get(one.name)
    return answer.reached == "no_answer" and not one.writes and before is not None and before.reached == "answered"


def _report(stage: Stage, started_at: str, duration: float, results: Sequence[ProbeResult]) -> ProbeReport:
    number = {verdict: sum(r.verdict == verdict for r in results) for verdict in ("PASS", "FAIL", "WARNING", "SKIP")}
    order: tuple[ProbeVerdict, ...] = ("FAIL", "SKIP", "WARNING", "PASS")
    return ProbeReport(
        stage=stage,
        started_at=started_at,
        duration_seconds=duration,
        verdict=next((verdict for verdict in order if number[verdict]), "SKIP"),
        passed=number["PASS"],
        failed=number["FAIL"],
        warnings=number["WARNING"],
        skipped=number["SKIP"],
        probes=list(results),
    )


def _require(report: ProbeReport, *, required: bool) -> None:
    """Stop when a probe of this call says that something is wrong."""
    if report.stage == "before" and not required:
        return
    failed = [result for result in report.probes if result.verdict == "FAIL"]
    unknown = [result for result in report.probes if result.verdict == "SKIP"]
    listed = "\n".join(line_of(result) for result in (failed or unknown))
    every, details = number(len(report.probes), "probe"), {"result": {"probes": report.as_dict()}}
    if failed and report.stage == "before":
        raise ProbeFailed(
            f"{len(failed)} of {every} failed before the migration:\n{listed}",
            where=failed[0].url,
            state=_BEFORE,
            next_step="Mend the application or the probe, then run again; or go on without them: -e probe_required=false",
            details=details,
        )
    if failed:
        raise VerificationFailed(
            f"{len(failed)} of {every} failed after the migration:\n{listed}",
            where=failed[0].url,
            state=_APPLIED_STAYS,
            next_step="Look at the application's log; when it is right again, probe again.",
            details=details,
        )
    if unknown:
        raise NotSeen(
            f"{len(unknown)} of {every} could not be asked after the migration:\n{listed}",
            where=unknown[0].url,
            state=_APPLIED_STAYS,
            next_step="Have this machine reach the API, then probe again.",
            details=details,
        )


def line_of(result: ProbeResult) -> str:
    """A probe that needs a look, in one line."""
    notes = "".join(f"; {note}" for note in result.notes if note != result.message)
    return f"  {result.verdict} {result.name} ({result.method} {result.url}): {result.message}{notes}"
