"""Which answers are tried again, how often, and after how long."""

import email.utils

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import RetryPolicy
from imgpack.errors import Answer
from imgpack.registry.http.retry import parse_retry_after

POLICY = RetryPolicy(attempts=5, first=1.0, ceiling=8.0, retry_after_ceiling=60.0)
BLOB = "https://r.test/v2/a/blobs/sha256:1"
MANIFEST = "https://r.test/v2/a/manifests/latest"


@pytest.mark.parametrize(
    ("method", "url", "answer", "attempts"),
    [
        ("GET", BLOB, None, 5),
        *[("GET", BLOB, Answer(s), 5) for s in (408, 425, 429, 499, 500, 502, 503, 504)],
        *[("GET", BLOB, Answer(s), 5) for s in (520, 521, 522, 523, 524)],
        *[("GET", BLOB, Answer(s), 1) for s in (301, 400, 401, 403, 404, 405, 413, 415, 416, 501)],
        ("PUT", MANIFEST, Answer(429, ("TOOMANYREQUESTS",)), 5),
        ("PUT", MANIFEST, Answer(403, ("TOOMANYREQUESTS",)), 5),
        ("PUT", MANIFEST, Answer(500, ("UNKNOWN",)), 2),
        ("PUT", MANIFEST, Answer(500), 2),
        ("PUT", MANIFEST, Answer(503), 5),
        ("GET", MANIFEST, Answer(500, ("UNKNOWN",)), 5),
        ("PUT", BLOB, Answer(500, ("UNKNOWN",)), 5),
        *[
            ("PUT", MANIFEST, Answer(500, (code,)), 1)
            for code in (
                "UNSUPPORTED",
                "DENIED",
                "MANIFEST_INVALID",
                "NAME_UNKNOWN",
                "UNAUTHORIZED",
            )
        ],
        ("PUT", BLOB, Answer(500, ("BLOB_UPLOAD_INVALID",)), 1),
        ("PUT", BLOB, Answer(503, ("DIGEST_INVALID",)), 1),
    ],
)
def test_the_decision_is_by_status_and_code(
    method: str, url: str, answer: Answer | None, attempts: int
) -> None:
    """A 500 with a permanent code is permanent; too many requests pass, whatever the status."""
    assert POLICY.limit(method, url, answer) == attempts


def test_waits_double_up_to_the_ceiling_with_jitter() -> None:
    """A quarter more or less than 1, 2, 4, 8, 8 seconds."""
    for attempt, base in ((1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (1000, 8)):
        assert POLICY.wait(attempt, None, lambda: 0.0) == base * 0.75
        assert POLICY.wait(attempt, None, lambda: 1.0) == base * 1.25


def test_what_the_registry_asks_for_is_waited_but_not_for_ever() -> None:
    """``Retry-After`` counts instead of the backoff, up to its own ceiling."""
    assert POLICY.wait(1, Answer(429, retry_after=20.0), lambda: 0.0) == 20.0
    assert POLICY.wait(1, Answer(429, retry_after=0.0), lambda: 0.5) == 0.5
    assert POLICY.wait(1, Answer(429, retry_after=86400.0), lambda: 0.0) == 60.0


NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30.0),
        (" 0 ", 0.0),
        ("9" * 40, 1e9),
        (email.utils.formatdate(NOW + 90, usegmt=True), 90.0),
        (email.utils.formatdate(NOW - 90, usegmt=True), 0.0),
        ("Tue Nov 14 22:14:20 2023", 60.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("Tue, 99 Nov 2023 99:99:99 GMT", None),
    ],
)
def test_both_forms_of_retry_after_are_read(value: str | None, seconds: float | None) -> None:
    """Seconds, and the three spellings of a date; anything else says nothing."""
    assert parse_retry_after(value, NOW) == seconds


@given(st.text(max_size=60))
def test_no_retry_after_breaks_the_parser(text: str) -> None:
    """Hostile text gives a number of at least zero, or nothing."""
    seconds = parse_retry_after(text, NOW)
    assert seconds is None or seconds >= 0
