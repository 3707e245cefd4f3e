"""What is at a path of an image, links followed as the image has them, never as the host does."""

import difflib
import stat
from itertools import islice
from typing import Final

from imgpack.errors import NoSuchPathError, brief
from imgpack.image.files.files import ImageFiles
from imgpack.tree.tables.applied import LayerRow
from imgpack.tree.tree import join

_MAX_LINKS: Final = 40
"""Symbolic links that one path may lead through, as on Linux."""
_NOTHING: Final = (b"", b".")
_NAMES: Final = 20_000
"""Names of a directory among which the nearest is looked for."""

_PATTERN: Final = frozenset(b"*?[")


def find_path(files: ImageFiles, path: bytes, *, follow: bool = True) -> LayerRow:
    """What is at ``path``, from the root of the image whether it begins with ``/`` or not.

    The path of what is found has no links in it. One at the end is followed too, unless not
    ``follow`` or the path ends in ``/``. Raises ``NoSuchPathError`` saying what is missing, which
    layer deleted it, or the name that comes nearest.
    """
    follow = follow or path.endswith(b"/")
    pending = [part for part in reversed(path.split(b"/")) if part not in _NOTHING]
    way: list[bytes] = []
    followed = 0
    found = files.at(b"")
    while pending:
        part = pending.pop()
        if part == b"..":
            del way[-1:]
            found = files.at(b"/".join(way))
            continue
        there = b"/".join((*way, part))
        found = files.at(there)
        if found is None:
            raise _missing(files, path, b"/".join(way), part)
        if stat.S_ISLNK(found.row.mode) and (pending or follow):
            followed += 1
            if followed > _MAX_LINKS:
                raise NoSuchPathError(
                    f"{_shown(path)} leads through too many symlinks",
                    f"they lead in a circle, or are more than {_MAX_LINKS}; {_shown(there)} is "
                    "one of them",
                )
            if found.row.link.startswith(b"/"):
                way.clear()
            target = reversed(found.row.link.split(b"/"))
            pending += [name for name in target if name not in _NOTHING]
            found = files.at(b"/".join(way))
            continue
        if pending and not found.row.is_directory:
            raise NoSuchPathError(
                f"{_shown(path)} is not in the image: {_shown(there)} is not a directory"
            )
        way.append(part)
    assert found is not None  # all that was passed is there
    if path.endswith(b"/") and not found.row.is_directory:
        raise NoSuchPathError(f"{_shown(path)} is not a directory in the image")
    return found


def _missing(files: ImageFiles, path: bytes, above: bytes, name: bytes) -> NoSuchPathError:
    """That ``name`` is not in the directory ``above``, to which ``path`` leads."""
    there = join(above, name)
    message = f"{_shown(path)} is not in the image"
    if there != path.strip(b"/"):
        message += f": {_shown(there)} is missing"
    for one in files.laid(there, deep=False):
        if one.row.path == there and not one.shown:
            how = "deletes" if one.deleted else "replaces"
            return NoSuchPathError(
                message, f"layer {one.layer + 1} has it, and layer {one.by + 1} {how} it"
            )
    if _PATTERN.intersection(name):
        return NoSuchPathError(message, "it is taken as it is, and no pattern")
    inside = len(above) + 1 if above else 0
    rows = islice(files.shown(above, deep=False), _NAMES)
    names = [one.row.path[inside:].decode("latin-1") for one in rows if one.row.path != above]
    near = difflib.get_close_matches(name.decode("latin-1"), names, 1)
    if near:
        return NoSuchPathError(
            message, f"there is {_shown(join(above, near[0].encode('latin-1')))}"
        )
    return NoSuchPathError(message)


def _shown(path: bytes) -> str:
    return f"/{brief(path.lstrip(b'/'))}"
