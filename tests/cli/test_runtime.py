"""The options of the image configuration: what each spelling means."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.cli.runtime import NAMES, parse_runtime
from imgpack.errors import ConfigError, ImgpackError
from imgpack.spec.config import Runtime


def runtime(**options: Any) -> Runtime:
    """What some options say, with the others at their defaults."""
    several = ("env", "label", "expose", "volume", "onbuild")
    values: dict[str, Any] = {name: () if name in several else None for name in NAMES}
    return parse_runtime(values | options)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("[]", ()),
        ('["a b", ""]', ("a b", "")),
        (' ["a"] ', ("a",)),
        ("a  b", ("a", "b")),
        ("a 'b c' \"d e\" f\\ g", ("a", "b c", "d e", "f g")),
        ('sh -c "echo [x]"', ("sh", "-c", "echo [x]")),
    ],
)
def test_words_are_json_or_quoted_as_for_a_shell(text: str, words: tuple[str, ...]) -> None:
    """An empty one sets an empty list; without the option there is none."""
    found = runtime(entrypoint=text, cmd=text, shell=text)

    assert found.entrypoint == found.cmd == found.shell == words
    assert runtime().entrypoint is None


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("30s", 30 * 10**9), ("1m30s", 90 * 10**9), ("1.5h", 5400 * 10**9), ("500ms", 5 * 10**8),
     ("7", 7 * 10**9), ("0", 0), ("0s", 0), ("1000000ns", 10**6), ("1000us", 10**6)],
)  # fmt: skip
def test_durations_are_spelled_as_in_go(text: str, nanoseconds: int) -> None:
    """A bare number is seconds."""
    check = runtime(healthcheck_cmd="true", healthcheck_interval=text).healthcheck
    assert check is not None
    assert check.interval == nanoseconds


@pytest.mark.parametrize("text", ["", "s", "1x", "5 s", "-1s", "1d", "1ns", "1s1", "9" * 30 + "s"])
def test_other_durations_are_refused(text: str) -> None:
    """Less than a millisecond too: Docker's API refuses it."""
    with pytest.raises(ConfigError, match="not a duration"):
        runtime(healthcheck_cmd="true", healthcheck_timeout=text)


def test_ports_and_ranges() -> None:
    """Protocols default to tcp; the same port is there once."""
    found = runtime(expose=("80", "8000-8002/udp", "80/TCP", "5/sctp"))

    assert sorted(found.exposed_ports) == [
        "5/sctp", "80/tcp", "8000/udp", "8001/udp", "8002/udp",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "name"),
    [("SIGTERM", "SIGTERM"), ("term", "SIGTERM"), ("SIGRTMIN+3", "SIGRTMIN+3"), ("15", "15"),
     ("rtmax-14", "SIGRTMAX-14")],
)  # fmt: skip
def test_signals_have_their_full_names(text: str, name: str) -> None:
    """As docker takes them."""
    assert runtime(stop_signal=text).stop_signal == name


def test_the_last_value_of_a_name_wins_in_its_first_place() -> None:
    """As repeated ENV instructions do."""
    assert runtime(env=("A=1", "B=2", "A=3=4")).env == ("A=3=4", "B=2")
    assert runtime(label=("a=1", "a=")).labels == (("a", ""),)


def test_a_health_check_is_a_command_words_or_none() -> None:
    """In the three forms of the configuration."""
    forms = ("curl -f http://localhost", '["curl", "-f"]', "NONE")
    found = [runtime(healthcheck_cmd=form).healthcheck for form in forms]

    assert [check.test for check in found if check] == [
        ("CMD-SHELL", "curl -f http://localhost"), ("CMD", "curl", "-f"), ("NONE",),
    ]  # fmt: skip


@given(name=st.sampled_from(NAMES), text=st.text(max_size=30))
def test_any_text_is_taken_or_refused(name: str, text: str) -> None:
    """Never with an error of another kind."""
    several = name in ("env", "label", "expose", "volume", "onbuild")
    if name == "healthcheck_retries":
        return
    try:
        runtime(**{name: (text,) if several else text})
    except ImgpackError:
        return
