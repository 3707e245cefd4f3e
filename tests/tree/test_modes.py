"""Modes as chmod(1) writes them: GNU's own results, and the two choices that differ."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.errors import ConfigError
from imgpack.tree.rules.modes import ModeChange

GNU = """
0644 u+x file 0744; 0644 +x file 0755; 0644 a+x file 0755; 0644 +w file 0644; 0644 = file 0000
2755 =755 dir 0755; 4755 755 file 0755; 0644 u=rwX,go=rX file 0644; 0644 u=rwX,go=rX dir 0755
2755 00755 dir 0755; 0744 u=rwX,go=rX file 0755; 0600 g=u file 0660; 0640 o=g file 0644
0640 g+u file 0660; 0755 u-w,u=g file 0555; 0644 u+s file 4644; 0755 g+s dir 2755
0755 o+s file 0755; 0755 +s file 6755; 0755 +t dir 1755; 0755 o+t dir 1755; 0755 u+t dir 0755
1777 o=rwx dir 0777; 1777 o-t dir 0777; 6755 u=rwx file 2755; 6755 ug-s file 0755
6755 a=rx file 0555; 0644 u+x-r file 0344; 0644 u=rw,u+x file 0744; 0644 ug+rw,o-r file 0660
0644 u+rwxXst file 4744; 7777 a-st file 0777; 0755 -x+X file 0644; 0755 a-x,a+X file 0644
0644 7 file 0007; 0644 +644 file 0644; 0644 -4 file 0640; 0644 u+ file 0644
"""
CHOSEN = """
4755 755 dir 0755; 2755 755 dir 0755; 2755 0755 dir 0755; 2755 g=rx dir 0755; 6755 a=rx dir 0555
"""


def cases(text: str) -> list[tuple[str, str, str, str]]:
    """Mode before, expression, kind and mode after, of each."""
    found = text.replace("\n", ";").split(";")
    return [tuple(one.split()) for one in found if one.strip()]  # type: ignore[misc]


@pytest.mark.parametrize(("before", "text", "kind", "after"), cases(GNU) + cases(CHOSEN))
def test_a_mode_changes_as_gnu_changes_it(before: str, text: str, kind: str, after: str) -> None:
    """But directories lose the bits that are not named, like anything else."""
    changed = ModeChange.parse(text)(int(before, 8), directory=kind == "dir")

    assert f"{changed:04o}" == after


@pytest.mark.parametrize(
    "text", ["u", "u+z", "888", "77777", "", "a=r,", "o+ug", "u=7", "+7+x", "u+r,,g+r", "+77777"]
)
def test_what_is_no_mode_is_refused(text: str) -> None:
    """With what one looks like."""
    with pytest.raises(ConfigError, match="is not a mode; write octal, as 0755"):
        ModeChange.parse(text)


ACTIONS = st.builds(
    "{}{}{}".format,
    st.text("ugoa", max_size=3),
    st.sampled_from("+-="),
    st.one_of(st.sampled_from("ugo"), st.text("rwxXst", max_size=4)),
)


@pytest.mark.skipif(shutil.which("chmod") is None, reason="needs chmod")
@given(st.lists(ACTIONS, min_size=1, max_size=3).map(",".join), st.integers(0, 0o7777))
def test_files_get_what_chmod_gives_them(
    tmp_path_factory: pytest.TempPathFactory, text: str, before: int
) -> None:
    """Whatever the expression: the reference is the program itself."""
    path = tmp_path_factory.getbasetemp() / "changed-by-chmod"
    path.touch()
    Path(path).chmod(before)
    subprocess.run(
        ["sh", "-c", 'umask 022 && exec chmod -- "$0" "$1"', text, path],
        check=True,
        capture_output=True,
    )

    assert ModeChange.parse(text)(before, directory=False) == path.stat().st_mode & 0o7777
