"""Whether the user of an image is one of the image."""

import pytest

from imgpack.errors import ConfigError
from imgpack.tree.rules.accounts import check_user

FILES = {"/etc/passwd": b"root:x:0:0::/root:\napp:x:5:6::/:\n", "/etc/group": b"staff:x:50:\n"}


@pytest.mark.parametrize("text", ["", "root", "app", "5", "0", "app:staff", "5:4711", "app:6"])
@pytest.mark.parametrize("inherited", [True, False])
def test_a_user_that_is_there_is_nothing_to_tell(text: str, inherited: bool) -> None:
    """Nor is a group that has only a number."""
    assert check_user(text, FILES.get, inherited=inherited) is None


@pytest.mark.parametrize(
    ("text", "missing"), [("web", "the user 'web'"), ("app:web", "the group 'web'")]
)
def test_a_name_that_is_not_there_is_refused(text: str, missing: str) -> None:
    """No container of the image would start; a base's own is only told."""
    with pytest.raises(ConfigError, match=f"{missing} is not in /etc/"):
        check_user(text, FILES.get, inherited=False)
    remark = check_user(text, FILES.get, inherited=True)
    assert remark is not None
    assert f"does not work any more: {missing}" in remark


@pytest.mark.parametrize("files", [FILES, {}])
def test_a_number_that_is_not_there_is_told(files: dict[str, bytes]) -> None:
    """It runs, and has no home; root needs no line."""
    remark = check_user("4711", files.get, inherited=False)
    assert remark == "the user 4711 is not in /etc/passwd of the image: its $HOME will be /"
    assert check_user("4711", files.get, inherited=True) is None
    assert check_user("0", files.get, inherited=False) is None
