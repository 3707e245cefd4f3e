"""Users and groups by name or number, as engines look them up."""

import pytest

from imgpack.errors import ConfigError
from imgpack.tree.rules.accounts import find_group, find_user, resolve_user

PASSWD = (
    b"""root:x:0:0:root:/root:/bin/sh
+nis::::::
short:x:5
odd:x:five:5::/:/bin/sh
odd:x:"""
    + b"9" * 5000
    + b""":5::/:/bin/sh

app:x:1000:1001:,,,:/home/app:/bin/sh
7:x:70:71::/:/bin/sh
other:x:7:8::/:/bin/sh
app:x:1:1::/:/bin/sh
"""
)
GROUP = b"root:x:0:\nstaff:x:50:app,root\n+\nbad:x:\n1000:x:51:\n"


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", (0, 0)),
        ("root", (0, 0)),
        ("app", (1000, 1001)),
        ("1000", (1000, 1001)),
        ("4711", (4711, 0)),
        ("7", (70, 71)),
        ("app:staff", (1000, 50)),
        ("app:1000", (1000, 51)),
        ("4711:12", (4711, 12)),
        ("app:", (1000, 1001)),
        ("2147483647", (2147483647, 0)),
    ],
)
def test_a_user_is_a_name_or_else_a_number(text: str, ids: tuple[int, int]) -> None:
    """The first line that has either counts; a number alone brings the group 0."""
    assert resolve_user(text, PASSWD, GROUP) == ids


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nobody", "the user 'nobody' is not in /etc/passwd of the image"),
        ("short", "'short'"),
        ("odd", "'odd'"),
        ("+nis", r"'\+nis'"),
        ("app:wheel", "the group 'wheel' is not in /etc/group of the image"),
        ("2147483648", "the user 2147483648 is none"),
        ("0:99999999999", "the group 99999999999 is none"),
        ("\N{ARABIC-INDIC DIGIT ONE}", "is not in /etc/passwd"),
    ],
)
def test_a_name_that_nobody_has_is_refused(text: str, problem: str) -> None:
    """And a number that no engine runs; malformed lines name nobody."""
    with pytest.raises(ConfigError, match=problem):
        resolve_user(text, PASSWD, GROUP)


def test_without_files_there_are_only_numbers() -> None:
    """As in an image that is one program."""
    assert resolve_user("65532:65532", None, None) == (65532, 65532)
    assert find_user("0", None) is find_group("0", None) is None
    with pytest.raises(ConfigError, match="'app' is not in"):
        resolve_user("app", None, None)
