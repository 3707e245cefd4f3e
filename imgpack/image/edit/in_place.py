"""What an archive or a layout holds once one of its images was changed in its place."""

from contextlib import suppress
from dataclasses import replace

from imgpack.errors import ImgpackError
from imgpack.image.image import Named
from imgpack.image.opened import Opened, Root
from imgpack.spec.reference import Reference


def moving(named: Named, text: str | None) -> Named:
    """``named`` with those of its names that ``text`` asks for it by; with all if by none.

    An image that was asked for by one name keeps what it was under its others.
    """
    if text is None:
        return named
    whole = None
    with suppress(ImgpackError):
        whole = Reference.parse(text).tagged()
    names = tuple(one for one in named.names if whole == one) or tuple(
        one for one in named.names if text == one.tag
    )
    labels = tuple(label for label in named.labels if label == text)
    return replace(named, names=names, labels=labels) if names or labels else named


def with_changed(opened: Opened, root: Root, made: Named) -> tuple[Named, ...]:
    """All images that are in ``opened`` then, ``made`` in the place of that at ``root``.

    Names are of one image: the others lose what ``made`` has. Raises what reading raises.
    """
    out: list[Named] = []
    for one in opened.roots:
        there = opened.image(one)
        left = _without(there, made)
        if one is not root:
            out.append(left)
            continue
        if left.names or left.labels:
            out.append(left)
        out.append(made)
    return tuple(out)


def _without(named: Named, made: Named) -> Named:
    names, labels = frozenset(made.names), frozenset(made.labels)
    return replace(
        named,
        names=tuple(one for one in named.names if one not in names),
        labels=tuple(one for one in named.labels if one not in labels),
    )
