"""What a container is started with: what no engine would start is no value."""

from typing import Any

import pytest

from imgpack.api import Healthcheck, Ports, Runtime
from imgpack.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("env", ("novalue",), "'novalue' has no name and value"),
        ("env", ("=value",), "has no name"),
        ("env", ("A=\0",), "NUL"),
        ("cmd", ("a\0",), "NUL"),
        ("labels", (("", "value"),), "has no name"),
        ("working_dir", "srv", "'srv' is not an absolute path"),
        ("working_dir", "/srv/..", "not an absolute path"),
        ("volumes", ("data",), "'data' is not an absolute path"),
        ("volumes", ("/data", "/./proc/x"), "would hide what a container needs"),
        ("volumes", ("//",), "would hide"),
        ("user", "app\n", "is not a user"),
        ("user", "-app", "is not a user"),
        ("user", "4294967296", "is not a user"),
        ("onbuild", ("FROM x",), "cannot be a trigger"),
        ("stop_signal", "TERM", "'TERM' is not a signal"),
    ],
)
def test_what_cannot_be_run_is_refused(name: str, value: object, problem: str) -> None:
    """While its author still looks, whatever program made it."""
    wrong: dict[str, Any] = {name: value}
    with pytest.raises(ConfigError, match=problem):
        Runtime(**wrong)


@pytest.mark.parametrize("ports", [(0, 1, "tcp"), (2, 1, "udp"), (1, 65536, "tcp"), (1, 1, "ip")])
def test_ports_are_in_order_and_of_a_protocol(ports: tuple[int, int, str]) -> None:
    """From 1 to 65535."""
    with pytest.raises(ConfigError, match="is not a port"):
        Ports(*ports)


@pytest.mark.parametrize(
    ("test", "times"),
    [
        ((), {}),
        (("CMD",), {}),
        (("CMD", ""), {}),
        (("/check",), {}),
        (("CMD-SHELL", " "), {}),
        (("NONE", "x"), {}),
        (("CMD", "x"), {"interval": 1}),
        (("CMD", "x"), {"timeout": -1}),
        (("CMD", "x"), {"start_period": 2**63}),
        (("CMD", "x"), {"retries": -1}),
    ],
)
def test_a_health_check_is_one_that_docker_takes(
    test: tuple[str, ...], times: dict[str, int]
) -> None:
    """Its daemon ends in a panic over some of the others."""
    with pytest.raises(ConfigError, match="times" if times else "names no command"):
        Healthcheck(test, **times)
