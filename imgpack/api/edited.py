"""Images that are changed without being built again, and put where they were."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from imgpack.api.locations import create, references, with_registries
from imgpack.api.locations import open as open_location
from imgpack.errors import ConfigError, SourceChangedError, UnsupportedError
from imgpack.events import SILENT, Reporter

if TYPE_CHECKING:
    from imgpack.compression.codec import Codec
    from imgpack.image.image import AnyImage, Named, Published
    from imgpack.image.opened import Opened, Root
    from imgpack.layer.cache.segments import SegmentCache
    from imgpack.registry.registries import Registries
    from imgpack.spec.format import Format
    from imgpack.spec.merge.changes import RuntimeChanges
    from imgpack.spec.platform import Platform
    from imgpack.spec.reference import Reference
    from imgpack.spec.runtime import Runtime
    from imgpack.tree.destination import Placed
    from imgpack.tree.tree import Tree


def configure(
    image: AnyImage,
    changes: Runtime | RuntimeChanges,
    *,
    where: str = "the image",
    created: str = "",
    author: str = "",
    comment: str = "",
    history: bool = True,
    platform: Platform | None = None,
    reporter: Reporter = SILENT,
) -> AnyImage:
    """``image`` with ``changes`` to its own configuration, and the layers that it has.

    Of an index each image, or only the one for ``platform``; the others stay as they are, and
    attestations of what is no more there go. ``created``: RFC 3339 in UTC (empty: the image's
    time stays). With ``history`` each change is an entry without a layer (OCI image-spec
    ``config.md``); an image that says all of it is returned as it is. ``where`` is what messages
    call it. Raises ``ConfigError``, ``DocumentError``, ``LimitError``, ``UnsupportedError``.
    """
    from imgpack.image.base.platforms import Remaking
    from imgpack.image.edit.configured import Configuring
    from imgpack.spec.merge.changes import RuntimeChanges

    configuring = Configuring(
        where, RuntimeChanges.of(changes), created, author, comment, history, reporter
    )
    return Remaking(where, configuring.configure, dict, None, reporter, platform)(image)


@contextmanager
def append(
    image: AnyImage,
    layers: Sequence[Placed[Tree]],
    *,
    where: str = "the image",
    format: Format | None = None,
    compression: str | Codec = "gzip",
    created: str = "",
    author: str = "",
    comment: str = "",
    platform: Platform | None = None,
    scratch: Callable[[], str] = tempfile.gettempdir,
    cache: SegmentCache | None = None,
    jobs: int = 1,
    clock: Callable[[], int] = time.time_ns,
    reporter: Reporter = SILENT,
) -> Iterator[AnyImage]:
    """``image`` with ``layers`` on top, bottom first, to be copied or pushed inside the ``with``.

    A ``raw_layer`` is one byte for byte, and the image's own are not read for it; any other
    tree goes over what the image has, as in ``build``: of that the ``cache`` remembers the
    listing. ``created``: RFC 3339 in UTC (empty: the newest time in the layers); ``format``, if
    not given: each image's own; ``platform`` as for ``configure``. ``scratch`` finds a
    directory with room for the new layers. Raises ``ConfigError``, ``LimitError``,
    ``UnsupportedError``; source, tree, archive and output errors.
    """
    from imgpack.files.scratch import ScratchBlobs, ScratchFile
    from imgpack.image.base.platforms import Remaking
    from imgpack.image.base.tree import base_tree
    from imgpack.image.edit.appended import Appending
    from imgpack.layer.build import Options

    if not layers:
        raise ValueError("there is no layer to append")
    with closing(ScratchFile(scratch())) as file:
        appending = Appending(
            where,
            layers,
            ScratchBlobs(file),
            Options((), _codec(compression), jobs, cache, clock()),
            partial(base_tree, where=where, cache=cache, jobs=jobs, reporter=reporter),
            format,
            created,
            author,
            comment,
            reporter,
        )
        yield Remaking(where, appending.append, dict, format, reporter, platform)(image)


@contextmanager
def recompress(
    image: AnyImage,
    compression: str | Codec,
    *,
    where: str = "the image",
    format: Format | None = None,
    platform: Platform | None = None,
    scratch: Callable[[], str] = tempfile.gettempdir,
    jobs: int = 1,
    reporter: Reporter = SILENT,
) -> Iterator[AnyImage]:
    """``image`` with every layer compressed anew, to be copied or pushed inside the ``with``.

    ``compression`` is as for ``Codec``. The tar streams are the same to the byte, and so is the
    image ID; each is verified while it is read. The rest is as for ``append``. Raises
    ``UnsupportedError`` where the format has no such layers; archive and output errors.
    """
    from imgpack.files.scratch import ScratchBlobs, ScratchFile
    from imgpack.image.base.platforms import Remaking
    from imgpack.image.edit.recompressed import Recompressing

    codec = _codec(compression)
    with closing(ScratchFile(scratch())) as file:
        recompressing = Recompressing(where, ScratchBlobs(file), codec, jobs, format, reporter)
        yield Remaking(where, recompressing.recompress, dict, format, reporter, platform)(image)


def replace_image(
    opened: Opened,
    root: Root,
    made: Named,
    *,
    asked: str | None = None,
    prune: bool = False,
    scratch: Callable[[], str] = tempfile.gettempdir,
    jobs: int = 4,
    reporter: Reporter = SILENT,
) -> tuple[Published, ...]:
    """Put ``made`` in the place of ``root`` of an ``opened`` archive or layout; what it is now.

    If it was ``asked`` for by one of its names, it is what it was under its others. All other
    images stay, and lose the names that ``made`` has. An archive is written anew and
    replaced at once; to a layout blobs are added, and ``prune`` removes what nothing names
    then. What lacked layers may lack them still. Raises what reading raises, ``OutputError``,
    ``SourceChangedError`` if another changed it since it was opened, and
    ``UnsupportedError`` for a lock or a stream.
    """
    from imgpack.files.streams import is_stream
    from imgpack.image.base.locked import is_lock
    from imgpack.image.edit.in_place import moving, with_changed
    from imgpack.image.image import missing_layers
    from imgpack.image.location import is_layout

    place, made = opened.location, moving(made, asked)
    if is_lock(place) or is_stream(place):
        raise UnsupportedError(f"{place} is no archive or layout that can be changed")
    layout = is_layout(place)
    images = (made,) if layout else with_changed(opened, root, made)
    shallow = any(missing_layers(one.image) for one in images)
    replaced = (root.descriptor.digest,)
    with (
        nullcontext() if layout else _alone(opened, scratch),
        create(
            place,
            scratch=scratch,
            reporter=reporter,
            prune=prune,
            shallow=shallow,
            replaced=replaced,
        ) as sink,
    ):
        published = sink.write(images, jobs=jobs)
    digest = made.image.document.descriptor.digest
    names = made.names or (None,)
    return tuple(one for one in published if one.descriptor.digest == digest and one.name in names)


@contextmanager
def _alone(opened: Opened, scratch: Callable[[], str]) -> Iterator[None]:
    """Let no other change the archive meanwhile. Raises ``SourceChangedError`` if one did."""
    from imgpack.files.locked import replacing

    with replacing(opened.location):
        with open_location(opened.location, scratch=scratch) as now:
            if now.roots != opened.roots:
                raise SourceChangedError(
                    f"{opened.location} was changed by another, after it was read",
                    "do it again: nothing was written",
                )
        yield


def tag(
    location: str | Reference,
    names: Sequence[str | Reference],
    *,
    image: str | None = None,
    registries: Registries | None = None,
    scratch: Callable[[], str] = tempfile.gettempdir,
    jobs: int = 4,
    reporter: Reporter = SILENT,
) -> tuple[Published, ...]:
    """Give the image at ``location`` more ``names``; an image that has one of them loses it.

    In a registry they are tags of its repository, and no layer is read or sent. Of an archive
    or a layout, ``image`` chooses as ``Opened.select`` does. Raises what ``open`` and
    ``replace_image`` raise, ``ConfigError`` for names that are elsewhere.
    """
    from imgpack.image.location import is_path, parse_reference, perhaps_a_file

    wanted = tuple(one.tagged() for one in references(names))
    if isinstance(location, str) and is_path(location):
        return _name(location, wanted, image, scratch, jobs, reporter)
    from imgpack.registry.tags import add_tags

    source = parse_reference(location) if isinstance(location, str) else location
    for name in wanted:
        if (name.registry, name.repository) != (source.registry, source.repository):
            raise ConfigError(
                f"{name.shown()} is in another repository than {source.shown()}, "
                "and its layers may not be there",
                "copy the image there",
            )
    with with_registries(registries) as connected, perhaps_a_file(str(location)):
        client = connected.repository(source)
        return tuple(add_tags(client, source, [name.target for name in wanted]))


def _name(
    location: str,
    names: Sequence[Reference],
    image: str | None,
    scratch: Callable[[], str],
    jobs: int,
    reporter: Reporter,
) -> tuple[Published, ...]:
    with open_location(location, scratch=scratch) as opened:
        root = opened.select(image)
        there = opened.image(root)
        made = replace(there, names=tuple(dict.fromkeys((*there.names, *names))))
        published = replace_image(opened, root, made, scratch=scratch, jobs=jobs, reporter=reporter)
    return tuple(one for one in published if one.name in names)


def _codec(compression: str | Codec) -> Codec:
    from imgpack.compression.codec import Codec

    return Codec.parse(compression) if isinstance(compression, str) else compression
