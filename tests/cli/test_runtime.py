"""The options of the image configuration: what each spelling means."""

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import Runtime
from imgpack.cli.options.build.config import RuntimeFlags
from imgpack.errors import ConfigError, ImgpackError, LimitError


def runtime(**options: Any) -> Runtime:
    """What some options say, with the others at their defaults."""
    return RuntimeFlags(**options).runtime()


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

    assert sorted(found.as_json()["ExposedPorts"]) == [
        "5/sctp", "80/tcp", "8000/udp", "8001/udp", "8002/udp",
    ]  # fmt: skip
    assert [str(ports) for ports in found.exposed_ports] == ["80/tcp", "8000-8002/udp", "5/sctp"]


def test_more_ports_than_there_are_numbers_are_refused() -> None:
    """By the option's name, and not by the size of a document that nobody wrote."""
    assert len(runtime(expose=("1-65535",)).as_json()["ExposedPorts"]) == 65535
    with pytest.raises(LimitError, match="--expose names 65536 ports"):
        runtime(expose=("1-65535", "53/udp"))


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


@pytest.mark.parametrize(
    ("text", "test"),
    [
        ('["NONE"]', ("NONE",)),
        (" NONE ", ("NONE",)),
        ('["CMD", "true", ""]', ("CMD", "true", "")),
        ('["CMD-SHELL", "a || b"]', ("CMD-SHELL", "a || b")),
        ('["CMD", "CMD"]', ("CMD", "CMD")),
        ('["true", "NONE"]', ("CMD", "true", "NONE")),
    ],
)
def test_a_health_check_may_be_spelled_as_in_the_api(text: str, test: tuple[str, ...]) -> None:
    """As ``docker inspect`` shows it; a program of such a name comes after CMD."""
    check = runtime(healthcheck_cmd=text).healthcheck
    assert check is not None
    assert check.test == test


@pytest.mark.parametrize(
    "text",
    ["[]", '[""]', '["", "a"]', '["CMD"]', '["CMD", ""]', '["CMD-SHELL"]', '["CMD-SHELL", " "]',
     '["CMD-SHELL", "a", "b"]', '["NONE", "a"]', "", " "],
)  # fmt: skip
def test_a_health_check_without_a_command_is_refused(text: str) -> None:
    """Running a container with ``["CMD"]`` ends Docker's daemon in a panic."""
    with pytest.raises(ConfigError, match="names no command") as caught:
        runtime(healthcheck_cmd=text)

    assert "NONE" in caught.value.hint


@pytest.mark.parametrize("text", [None, "NONE", '["NONE"]'])
@pytest.mark.parametrize(
    "option",
    [{"healthcheck_interval": "30s"}, {"healthcheck_timeout": "0"},
     {"healthcheck_start_period": "1s"}, {"healthcheck_retries": 0}],
)  # fmt: skip
def test_the_times_of_no_health_check_are_refused(text: str | None, option: dict[str, Any]) -> None:
    """Also those that say the default."""
    with pytest.raises(ConfigError, match="its like need a check"):
        runtime(healthcheck_cmd=text, **option)


@pytest.mark.parametrize(
    "text", ["0", "1000:1000", "app", "app:staff", "2147483647:0", "www-data", "_apt", "7up", "ü"]
)
def test_users_and_groups_are_names_or_ids(text: str) -> None:
    """As they are given."""
    assert runtime(user=text).user == text


@pytest.mark.parametrize(
    "text",
    ["", " ", "a:b:c", "a b", "-5", "+5", "a:-5", "4294967295", "2147483648", "0:2147483648",
     "9" * 5000, "a:", ":a", "a\n", "a\x1b"],
)  # fmt: skip
def test_users_that_no_engine_can_run_are_refused(text: str) -> None:
    """Ids have 31 bits."""
    with pytest.raises(ConfigError, match=r"--user (.* is not a user|is empty)"):
        runtime(user=text)


def test_volumes_have_one_spelling() -> None:
    """Else the same directory would be two of them."""
    assert runtime(volume=("/data", "/data/", "//data/./", "/dev/shm/")).volumes == (
        "/data", "/dev/shm",
    )  # fmt: skip
    assert runtime(volume=("/sys/fs/cgroup",)).volumes == ("/sys/fs/cgroup",)


@pytest.mark.parametrize("path", ["/", "//", "/.", "/dev", "/dev/", "/proc", "/proc/sys"])
def test_volumes_over_what_a_container_needs_are_refused(path: str) -> None:
    """Each of them loads, and then no container starts."""
    with pytest.raises(ConfigError, match=f"--volume '{path}' would hide"):
        runtime(volume=(path,))


@pytest.mark.parametrize(
    ("text", "trigger"),
    [("RUN make", "RUN make"), (" run\tmake\n", "run\tmake"), ("RUN a \\\n b", "RUN a \\\n b")],
)
def test_a_trigger_is_an_instruction(text: str, trigger: str) -> None:
    """In any case, perhaps continued; the space around it says nothing."""
    assert runtime(onbuild=(text,)).onbuild == (trigger,)


@pytest.mark.parametrize(
    "text",
    ["", " ", "foo", "foo x", "RUN", "FROM x", "FROM\tx", " FROM x", "from x", "MAINTAINER me",
     "ONBUILD\tRUN true", "onbuild RUN x", "# RUN x", "RUN\u00a0x", "RUN a\nRUN b",
     "RUN a\nFROM b", "\u017fHELL x"],
)  # fmt: skip
def test_what_no_build_on_top_can_run_is_no_trigger(text: str) -> None:
    """Unknown instructions, those that Docker forbids, and more than one."""
    with pytest.raises(ConfigError, match="cannot be a trigger"):
        runtime(onbuild=(text,))


@pytest.mark.parametrize("name", ["entrypoint", "cmd", "shell", "healthcheck_cmd"])
def test_words_are_unicode(name: str) -> None:
    """Half of a surrogate pair, which JSON can write, is none."""
    with pytest.raises(ConfigError, match="not a JSON array of strings"):
        runtime(**{name: '["\\ud800"]'})


@given(
    name=st.sampled_from([field.name for field in fields(RuntimeFlags)]), text=st.text(max_size=30)
)
def test_any_text_is_taken_or_refused(name: str, text: str) -> None:
    """Never with an error of another kind."""
    several = name in ("env", "label", "expose", "volume", "onbuild")
    if name == "healthcheck_retries":
        return
    try:
        runtime(**{name: (text,) if several else text})
    except ImgpackError:
        return
