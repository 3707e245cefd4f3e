"""Variables in the values of ``ENV``, as a Dockerfile expands them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.errors import ConfigError, LimitError
from imgpack.spec.merge.variables import expand

VALUES = {"PATH": "/usr/bin:/bin", "EMPTY": "", "A_1": "$PATH"}


def expanded(text: str) -> tuple[str, list[str]]:
    """What becomes of ``text``, and the names that were missed."""
    missed: list[str] = []
    return expand(text, VALUES, missed.append), missed


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ""),
        ("plain \\ 'text' \"with\" quotes {}", "plain \\ 'text' \"with\" quotes {}"),
        ("/opt/bin:$PATH", "/opt/bin:/usr/bin:/bin"),
        ("/opt/bin:${PATH}/x", "/opt/bin:/usr/bin:/bin/x"),
        ("$A_1", "$PATH"),
        ("$PATH$PATH", "/usr/bin:/bin/usr/bin:/bin"),
        ("$EMPTY.", "."),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${NONE:-d}${NONE-e}", "de"),
        ("${PATH:-d}", "/usr/bin:/bin"),
        ("${PATH:+d}${EMPTY:+e}${EMPTY+f}${NONE+g}", "df"),
        ("${NONE:-a${NONE:-b$EMPTY}c}d", "abcd"),
        ("${NONE:-}", ""),
        ("${NONE:-a\\}b}", "a}b"),
        ("${PATH:?needed}", "/usr/bin:/bin"),
        (r"\$PATH", "$PATH"),
        (r"\${PATH}", "${PATH}"),
        (r"\\$EMPTY", "\\"),
        (r"\\\$PATH", r"\$PATH"),
        (r"C:\dir\x", r"C:\dir\x"),
        (r"a\}b}", r"a\}b}"),
        ("$$PATH", "$PATH"),
        ("$$$EMPTY$$", "$$"),
        (r"\$$EMPTY", "$"),
        ("100$ $1 $(x) $", "100$ $1 $(x) $"),
    ],
)
def test_variables_and_escapes(text: str, value: str) -> None:
    """What is not a variable stays as it is, and what comes of one is not looked at again."""
    assert expanded(text) == (value, [])


@pytest.mark.parametrize(
    ("text", "value", "missed"),
    [
        ("a$NONE", "a", ["NONE"]),
        ("${NONE}$OTHER", "", ["NONE", "OTHER"]),
        ("${NONE:-$OTHER}", "", ["OTHER"]),
        ("${PATH:-$OTHER}${PATH:-${OTHER:?x}}", "/usr/bin:/bin/usr/bin:/bin", []),
        ("${NONE:+$OTHER}", "", []),
    ],
)
def test_what_is_missing_is_empty_and_told(text: str, value: str, missed: list[str]) -> None:
    """Only where it was needed."""
    assert expanded(text) == (value, missed)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("${PATH", "there is a \\${ without its }"),
        ("${PATH:-a${PATH}", "without its }"),
        ("${}", "is a \\${ without a name"),
        ("${1}", "without a name"),
        ("${PATH%:*}", "PATH has something behind it that is not known"),
        ("${PATH/a/b}", "not known"),
        ("${PATH$EMPTY}", "not known"),
        ("${PATH:x}", "not known"),
        ("${NONE:?set it}", "NONE is needed: set it"),
        ("${NONE?}", "NONE is needed: it is not set"),
        ("${A:-" * 40 + "}" * 40, "too many variables"),
    ],
)
def test_what_is_no_variable_is_refused(text: str, problem: str) -> None:
    """Whoever called knows what it is the value of."""
    with pytest.raises(ConfigError, match=problem):
        expanded(text)


def test_variables_lie_in_each_other_up_to_a_depth() -> None:
    """The innermost word is what all of them are."""
    assert expanded("${A:-" * 32 + "x" + "}" * 32) == ("x", [])
    with pytest.raises(ConfigError, match="too many variables"):
        expanded("${A:-" * 33 + "x" + "}" * 33)


@given(st.text())
def test_an_escaped_text_is_itself(text: str) -> None:
    """A dollar sign with its backslashes doubled and one more is nothing but a dollar sign."""
    escaped = text.replace("\\", "\0").replace("$", "\\$")
    assert expanded(escaped) == (text.replace("\\", "\0"), [])


@given(st.text("${}\\:-+?PATHN_", max_size=20))
def test_any_text_is_expanded_or_refused(text: str) -> None:
    """There is no third way."""
    try:
        expanded(text)
    except ConfigError as error:
        assert error.message


def test_variables_make_a_value_only_so_long() -> None:
    """A few letters would fill the memory."""
    with pytest.raises(LimitError, match="too long"):
        expand("$A" * 1000, {"A": "a" * 1000}, print)
