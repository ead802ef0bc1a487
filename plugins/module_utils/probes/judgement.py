# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an answer says, and what it is worth beside the baseline. Pure.

Sources: PostgREST's reference, "Errors" (PGRST000 to PGRST003: it has no connection or no schema cache; PGRST200, PGRST202, PGRST204,
PGRST205: relationship, function, column or table is not in its cache, which is stale after a migration until it has been read again);
RFC 9110, section 10.2.3 (Retry-After).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.pgops.supabase.plugins.module_utils.probes.documents import ProbeResult
from ansible_collections.pgops.supabase.plugins.module_utils.probes.request import LARGEST_ANSWER, Answer

RELOADING_CODES = frozenset(
    ("PGRST000", "PGRST001", "PGRST002", "PGRST003", "PGRST200", "PGRST202", "PGRST204", "PGRST205")
)
# The 95th percentile has to be below twice the baseline's, or below a tenth of a second, where a factor is only noise.
FACTOR = 2.0
FLOOR_SECONDS = 0.1
_LONGEST_RETRY_AFTER = 10.0
_UNAVAILABLE = 503
_REDIRECTS = range(300, 400)
_SUCCESSES = range(200, 300)
_CODE = re.compile(r"[A-Z0-9]{5,8}")


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that at least so many percent of them do not exceed (the nearest-rank method).

    :raises ValueError: when there are no values.
    """
    if not values:
        raise ValueError("there are no values")
    return sorted(values)[max(1, math.ceil(percent / 100 * len(values))) - 1]


def limit_of(baseline_p95_seconds: float) -> float:
    """What a 95th percentile has to be below."""
    return max(FACTOR * baseline_p95_seconds, FLOOR_SECONDS)


def reloading(answer: Answer) -> float | None:
    """Seconds to wait before asking again, where the API is only reading the schema anew; None where the answer is an answer."""
    if answer.reached != "answered":
        return None
    asked = answer.headers.get("retry-after", "")
    if _code_of(answer) in RELOADING_CODES or (answer.status == _UNAVAILABLE and asked):
        return min(float(asked), _LONGEST_RETRY_AFTER) if asked.isdecimal() and int(asked) else 1.0
    return None


def problem_of(answer: Answer, status: Sequence[int], expect: str | None) -> str:
    """What is wrong with an answer, in words that hold nothing of its content; empty when it is as expected.

    :param status: the statuses that are as expected; empty: any of 2xx.
    :param expect: a JMESPath expression that has to be true on the JSON of the body.
    """
    if answer.reached != "answered" or answer.status is None:
        return answer.why
    if answer.status not in (status or _SUCCESSES):
        return _unexpected_status(answer, status)
    if answer.too_large:
        return f"its answer is larger than {LARGEST_ANSWER // 1024} KiB; ask for fewer rows"
    return _unmet(answer.body, expect) if expect else ""


def _unexpected_status(answer: Answer, status: Sequence[int]) -> str:
    wanted = " or ".join(str(one) for one in status) or "2xx"
    text = f"it answered {answer.status}"
    if code := _code_of(answer):
        text += f" ({code})"
    if answer.status in _REDIRECTS:
        target = urlsplit(answer.headers.get("location", ""))
        where = f"{target.scheme}://{target.hostname}" if target.hostname else "another path of the same host"
        text += f", a redirect to {where}, which is not followed"
    return f"{text}; expected {wanted}"


def _unmet(body: bytes, expect: str) -> str:
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        document = json.loads(body)
    except ValueError:
        return "its answer is not JSON"
    try:
        met = jmespath.search(expect, document)
    except JMESPathError as error:
        # Its text quotes the values.
        return f"{expect} cannot be asked of its answer ({type(error).__name__})"
    return "" if met is True else f"{expect} is not true of its answer"


def _code_of(answer: Answer) -> str:
    """The code in an error of PostgREST's, and nothing else of the body: it quotes values."""
    if answer.status is None or answer.status in _SUCCESSES or answer.too_large:
        return ""
    try:
        document: Any = json.loads(answer.body)
    except ValueError:
        return ""
    code = document.get("code") if isinstance(document, dict) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def beside_baseline(result: ProbeResult, baseline: Mapping[str, ProbeResult]) -> ProbeResult:
    """The result with its verdict changed where the baseline knows better, and with the comparison of its latency.

    What failed before the migration as well is none of its faults. What could not be asked is not known. What answered before and
    does not any more is a fault.
    """
    before = baseline.get(result.name)
    if result.verdict == "FAIL":
        if before is not None and before.verdict == "FAIL":
            result.verdict, result.message = "WARNING", f"{result.message}; before the migration: {before.message}"
        elif result.reached == "not_asked" or (
            result.reached == "no_answer" and not _answered_before(result, baseline)
        ):
            result.verdict = "SKIP"
        return result
    # A probe that writes is sent once, and one measurement says nothing.
    if before is None or before.p95_seconds is None or result.p95_seconds is None or result.writes:
        return result
    result.baseline_p95_seconds, result.limit_seconds = before.p95_seconds, limit_of(before.p95_seconds)
    if result.p95_seconds >= result.limit_seconds:
        result.verdict = "FAIL"
        result.message = (
            f"its 95th percentile is {result.p95_seconds * 1000:.0f} ms, before the migration {before.p95_seconds * 1000:.0f} ms; "
            f"it has to be below {result.limit_seconds * 1000:.0f} ms"
        )
    return result


def _answered_before(result: ProbeResult, baseline: Mapping[str, ProbeResult]) -> bool:
    """Whether the endpoint did, or, for one that was not asked then, any other of its host."""
    if result.name in baseline:
        return baseline[result.name].reached == "answered"
    host = urlsplit(result.url).netloc
    return any(urlsplit(other.url).netloc == host and other.reached == "answered" for other in baseline.values())
