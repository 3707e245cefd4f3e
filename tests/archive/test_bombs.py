"""Small archives that would make much work: what is named a thousand times is read once."""

import os
import tarfile
from pathlib import Path

import pytest

from imgpack.archive.reader import open_images
from imgpack.archive.tar import MAX_NAME, TarFile
from imgpack.errors import LimitError


def _one_member(path: Path, name: str, link: str = "", form: int = tarfile.GNU_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as tar:
        member = tarfile.TarInfo(name)
        if link:
            member.type = tarfile.SYMTYPE
            member.linkname = link
        tar.addfile(member)
    return path


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_name_of_many_dots_is_the_name_behind_them(tmp_path: Path, form: int) -> None:
    """However many there are; what is only a dot in front of a name stays."""
    for name, found in (("./" * 30_000 + "x", "x"), ("./" * 9 + ".x/./y", ".x/./y")):
        path = _one_member(tmp_path / "x.tar", name, form=form)
        tar_file = TarFile(os.open(path, os.O_RDONLY), "x.tar")
        assert tar_file.size(found) == 0
        tar_file.close()


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize(("name", "link"), [("n" * (MAX_NAME + 1), ""), ("x", "n" * 70_000)])
def test_a_name_longer_than_any_path_is_refused(
    tmp_path: Path, form: int, name: str, link: str
) -> None:
    """Of a member or of a link's target, in either spelling of long names."""
    path = _one_member(tmp_path / "x.tar", name, link, form)
    with pytest.raises(LimitError, match=r"x\.tar: a member has a name of \d+ bytes"):
        open_images(str(path))
