"""The public Python API: what images are made of, read from and written to.

``import imgpack`` gives these names and loads what they need when they are called;
what talks to registries is imported when it is first asked for by name.
Nothing here reads the environment: credentials, proxies, caches and clocks are given.
Errors are those of ``imgpack.errors``; mistakes of the program itself (one name for names,
no jobs, a second write) are Python's own. Progress goes to a ``Reporter``.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from imgpack.errors import ImgpackError, UnsupportedError, printable
from imgpack.events import SILENT, Meter, Reporter
from imgpack.names import resolve

if TYPE_CHECKING:
    from typing import TypeAlias

    Names: TypeAlias = "Sequence[str | Reference] | None"
    """What an image is to be called instead."""

    from imgpack.compression.codec import Codec
    from imgpack.image.describe import described, published_names, total_size
    from imgpack.image.image import (
        AnyImage,
        Artifact,
        BlobSource,
        Image,
        ImageIndex,
        ImageSink,
        LayerSink,
        Named,
        Opaque,
        Published,
        images_in,
        refuse_foreign,
    )  # fmt: skip
    from imgpack.image.join import join
    from imgpack.image.location import (
        is_layout,
        is_path,
        parse_reference,
        remote_name,
        target_name,
        writable_name,
    )
    from imgpack.image.opened import Opened, Root
    from imgpack.image.schema1 import schema1_name, schema1_payload
    from imgpack.image.verify import verify_images
    from imgpack.layer.build import Explain
    from imgpack.layer.cache.segments import SegmentCache
    from imgpack.registry.http.endpoint import SessionOptions
    from imgpack.registry.http.retry import RetryPolicy
    from imgpack.registry.http.tls import TlsOptions
    from imgpack.registry.http.transport import TransportOptions
    from imgpack.registry.pull.image import fetch_schema1
    from imgpack.registry.push.dry_run import PushStep, dry_run
    from imgpack.registry.push.journal import UploadJournal
    from imgpack.registry.push.mount import mount_repositories
    from imgpack.registry.push.plan import Schema1Options
    from imgpack.registry.push.push import PushOptions, RegistrySink
    from imgpack.registry.registries import Registries
    from imgpack.spec.config import ImageConfig
    from imgpack.spec.descriptor import Descriptor
    from imgpack.spec.digest import Digest
    from imgpack.spec.format import Format
    from imgpack.spec.layer import Layer
    from imgpack.spec.manifest import Index, Manifest
    from imgpack.spec.platform import Platform
    from imgpack.spec.reference import Reference, parse_name
    from imgpack.spec.runtime import Healthcheck, Ports, Runtime
    from imgpack.tree.additions import Additions
    from imgpack.tree.destination import Placed, Replaced, replaced
    from imgpack.tree.disk.directory import Directory
    from imgpack.tree.disk.snapshot import Change
    from imgpack.tree.entries import (
        Entries,
        block_device,
        character_device,
        directory_entry,
        fifo,
        file,
        hard_link,
        symlink,
    )  # fmt: skip
    from imgpack.tree.entry import Entry
    from imgpack.tree.inputs.fakeroot import fakeroot_state
    from imgpack.tree.inputs.mtree.specification import Overrides, specification
    from imgpack.tree.lookup import read_file
    from imgpack.tree.rules.idmap import IdMap
    from imgpack.tree.rules.parse import RuleKind, parse_rule, time_rule
    from imgpack.tree.rules.reading import Reading
    from imgpack.tree.rules.rules import Rule
    from imgpack.tree.transform import ClampTime, SetOwner, SetTime, Transform
    from imgpack.tree.tree import Tree

__all__ = [
    "Additions", "AnyImage", "Artifact", "BlobSource", "Change", "ClampTime", "Codec", "Descriptor",
    "Digest", "Directory", "Entries", "Entry", "Explain", "Format", "Healthcheck", "IdMap", "Image",
    "ImageConfig", "ImageIndex", "ImageSink", "ImgpackError", "Index", "Layer", "LayerSink",
    "Manifest", "Meter", "Named", "Opaque", "Opened", "Overrides", "Placed", "Platform", "Ports",
    "Published", "PushOptions", "PushStep", "Reading", "Reference", "Registries", "RegistrySink",
    "Replaced", "Reporter", "RetryPolicy", "Root", "Rule", "RuleKind", "Runtime", "Schema1Options",
    "SegmentCache", "SessionOptions", "SetOwner", "SetTime", "TlsOptions", "Transform",
    "TransportOptions", "Tree", "UploadJournal",
    "block_device", "build", "character_device", "copy", "create", "delete", "described",
    "directory", "directory_entry", "dry_run", "entries", "fakeroot_state", "fetch_schema1", "fifo",
    "file", "hard_link", "images_in", "is_layout", "is_path", "join", "mount_repositories", "open",
    "open_blob", "parse_name", "parse_reference", "parse_rule", "published_names", "push",
    "read_file", "refuse_foreign", "remote_name", "replaced", "schema1_name", "schema1_payload",
    "specification", "symlink", "tags", "target_name", "time_rule", "total_size", "verify_images",
    "writable_name",
]  # fmt: skip


if not TYPE_CHECKING:  # a type checker would take any name for one that is there

    def __getattr__(name: str) -> Any:
        found = globals()[name] = resolve(name)
        return found


@contextmanager
def open(
    location: str | Reference,
    *,
    registries: Registries | None = None,
    scratch: Callable[[], str] = tempfile.gettempdir,
) -> Iterator[Opened]:
    """The images of an archive, an OCI layout or a reference, to be read inside the ``with``.

    A text that exists, ends in ``.tar`` or ``/``, or starts with ``/``, ``./`` or
    ``../`` is a path; any other is a reference, which is asked for through
    ``registries`` (without: anonymously). ``scratch`` finds a directory for the layers of
    a schema1 image, and for an archive that is compressed or comes from a pipe.
    Raises ``ArchiveError``, ``NotFoundError``, ``DocumentError``,
    ``DigestError``, ``LimitError``, and what registries and their connections raise.
    """
    from imgpack.image.location import is_path, parse_reference
    from imgpack.store.open import open_images

    if isinstance(location, str) and is_path(location):
        with open_images(location, scratch=scratch) as opened:
            yield opened
        return
    from imgpack.registry.pull.image import open_remote

    reference = parse_reference(location) if isinstance(location, str) else location
    with _connected(registries) as connected:
        yield open_remote(connected, reference, scratch=scratch)


@contextmanager
def open_blob(
    location: str | Reference,
    digest: Digest | str,
    *,
    registries: Registries | None = None,
    scratch: Callable[[], str] = tempfile.gettempdir,
) -> Iterator[Iterator[bytes]]:
    """The bytes of one blob of a ``location`` (see ``open``), to be read inside the ``with``.

    Of an archive or layout, a text may be the beginning of the digest. The bytes are
    verified as they are read: a wrong one ends with ``DigestError``. Raises what ``open``
    raises, and ``NotFoundError`` if it is not there.
    """
    from imgpack.files.blobs import verify_stream
    from imgpack.image.location import is_path, parse_reference
    from imgpack.store.open import open_images

    if isinstance(location, str) and is_path(location):
        with open_images(location, scratch=scratch) as opened:
            digest = opened.complete(digest) if isinstance(digest, str) else digest
            descriptor = opened.describe(digest)
            what = f"{location}: blob {digest}"
            yield verify_stream(opened.read_blob(descriptor), descriptor, what)
        return
    from imgpack.registry.pull.download import read_remote_blob

    digest = Digest.parse(digest) if isinstance(digest, str) else digest
    name = parse_reference(location) if isinstance(location, str) else location
    with _connected(registries) as connected:
        yield read_remote_blob(connected, name.with_digest(digest))


@contextmanager
def create(
    location: str,
    *,
    stdout: BinaryIO | None = None,
    scratch: Callable[[], str] = tempfile.gettempdir,
    reporter: Reporter = SILENT,
    prune: bool = False,
) -> Iterator[LayerSink]:
    """An archive, an OCI layout or a stream, to be written by ``build`` or ``copy``.

    A path that ends in ``/``, or is a directory, is a layout; ``-`` streams to ``stdout``;
    any other is an archive. It is written once; an existing layout is added to, and with
    ``prune`` loses the blobs that nothing in it names then. Nothing appears under its
    final name before all of it is there. Raises ``OutputError``.
    """
    from imgpack.store.archive.write import open_writer

    writer = open_writer(location, stdout=stdout, scratch=scratch, reporter=reporter, prune=prune)
    with writer:
        yield writer


def copy(
    images: Iterable[Named], sink: ImageSink, names: Names = None, *, jobs: int = 4
) -> tuple[Published, ...]:
    """Write ``images`` to ``sink``, ``jobs`` blobs at once, every byte verified.

    ``names`` replaces the names of the one image there is. Raises what source and sink raise.
    """
    return sink.write(_renamed(images, names), jobs=jobs)


def push(
    images: Iterable[Named],
    names: Names = None,
    *,
    registries: Registries | None = None,
    options: PushOptions | None = None,
    jobs: int = 4,
    on_published: Callable[[Published], object] = lambda published: None,
) -> tuple[Published, ...]:
    """Push ``images`` to their names, or the one image there is to ``names``.

    Through ``registries`` (without: anonymously). No tag is written before all that it
    stands for is there; ``on_published`` is told of each when it is. Raises what source,
    registries and connections raise.
    """
    from imgpack.registry.push.push import RegistrySink

    with _connected(registries) as connected:
        sink = RegistrySink(connected, options)
        return sink.write(_renamed(images, names), jobs=jobs, on_published=on_published)


def tags(repository: str | Reference, *, registries: Registries | None = None) -> Iterator[str]:
    """The tags of a repository, in the registry's order, each once, as they are listed.

    Raises what registries and their connections raise.
    """
    from imgpack.registry.tags import list_tags

    with _connected(registries) as connected:
        yield from list_tags(connected.repository(_reference(repository)))


def delete(name: str | Reference, *, registries: Registries | None = None) -> None:
    """Delete what ``name`` says: a tag, or by its digest an image and all its tags.

    With both it is the tag, if it has that digest; else ``DigestError``. A text names its
    registry, Docker Hub as well. Raises what registries and their connections raise: many
    refuse the one or the other.
    """
    from imgpack.image.location import writable_name
    from imgpack.registry.tags import delete_name

    with _connected(registries) as connected:
        reference = writable_name(name) if isinstance(name, str) else name
        delete_name(connected.repository(reference), reference)


@contextmanager
def _connected(registries: Registries | None) -> Iterator[Registries]:
    if registries is not None:
        yield registries
        return
    from imgpack.registry.registries import Registries

    with Registries() as anonymous:
        yield anonymous


def _renamed(images: Iterable[Named], names: Names) -> tuple[Named, ...]:
    from imgpack.image.opened import with_names

    found = tuple(images)
    if names is None:
        return found
    if len(found) != 1:
        raise UnsupportedError(
            f"names are for one image, and there are {len(found)}", "give each its own in Named"
        )
    return (with_names(found[0], _references(names)),)


def _references(names: Sequence[str | Reference]) -> tuple[Reference, ...]:
    if isinstance(names, str):  # a sequence of letters, each of which is a name
        raise TypeError(f"names are a sequence, and {names!r} is one name")
    return tuple(map(_reference, names))


def _reference(name: str | Reference) -> Reference:
    from imgpack.spec.reference import parse_name

    return parse_name(name) if isinstance(name, str) else name


def directory(
    path: str | bytes,
    *,
    dest: str | bytes = "/",
    below: Sequence[Tree] = (),
    caller: tuple[int, int] | None = None,
) -> Placed[Directory]:
    """The tree of a directory on disk, at ``dest`` of the image above the trees ``below``.

    What belongs to the ids ``caller`` is read as root's. Raises ``SourceError``, ``TreeError``.
    """
    from imgpack.tree.destination import place
    from imgpack.tree.disk.directory import directory as read_directory

    return place(read_directory(os.fsencode(path), caller), os.fsencode(dest), below)


def entries(
    items: Iterable[Entry], *, dest: str | bytes = "/", below: Sequence[Tree] = ()
) -> Placed[Entries]:
    """The tree of entries in memory, as ``directory``; of 1970 and 0:0, unless they say so.

    ``file``, ``directory_entry``, ``symlink``, ``hard_link`` and others make them. Missing parents
    are made up. Raises ``TreeError``.
    """
    from imgpack.tree.destination import place
    from imgpack.tree.entries import Entries

    return place(Entries(items), os.fsencode(dest), below)


def build(
    layers: Sequence[Placed[Tree]],
    *,
    into: LayerSink,
    names: Sequence[str | Reference] = (),
    config: Runtime | None = None,
    platform: Platform | None = None,
    format: Format | None = None,
    compression: str | Codec = "gzip",
    transforms: Sequence[Transform] = (),
    rules: Sequence[Rule] = (),
    reading: Reading | None = None,
    additions: Additions | None = None,
    created: str | None = None,
    author: str = "",
    comment: str = "",
    cache: SegmentCache | None = None,
    check_contents: bool = False,
    jobs: int = 1,
    clock: Callable[[], int] = time.time_ns,
    outputs: Set[tuple[int, int]] = frozenset(),
    reporter: Reporter = SILENT,
    explain: Explain | None = None,
) -> Image:
    """An image of ``layers``, bottom first, written ``into`` a sink under ``names``.

    ``platform``, if not given: what the programs in the layers are for, else linux/amd64;
    of a given one that they contradict is warned. ``format``, if not given: the sink's.
    ``compression``: ``gzip[:1-12]``, ``zstd[:1-19]`` or ``none``; ``created``: RFC 3339 in
    UTC (``None``: the newest time in the layers). ``reading``: what ids on disk and records of
    rootless tools mean; ``transforms`` change entries, then ``rules`` do, each of which must
    change something; ``additions`` to the top layer are read and changed like its own. The
    bytes depend on none of ``cache``, ``jobs`` and ``clock`` (nanoseconds since 1970).
    ``outputs``: devices and inodes of what is
    being written, which no layer may hold. Raises config, source, tree and output errors.
    """
    from imgpack.compression.codec import Codec
    from imgpack.image.build import build_image
    from imgpack.image.documents import Recipe
    from imgpack.layer.build import Options
    from imgpack.spec.runtime import Runtime
    from imgpack.tree.rules.reading import AS_RECORDED
    from imgpack.tree.rules.rules import Rules

    runtime = config or Runtime()
    platform = _platform(platform, layers, runtime, reporter)
    codec = Codec.parse(compression) if isinstance(compression, str) else compression
    options = Options(
        tuple(transforms), codec, jobs, cache, clock(), check_contents, outputs,
        reading or AS_RECORDED, Rules(tuple(rules)),
    )  # fmt: skip
    return build_image(
        layers,
        into,
        Recipe(platform, runtime, author, comment, format or into.default_format),
        _references(names),
        options,
        created=created,
        reporter=reporter,
        explain=explain,
        additions=additions,
    )


def _platform(
    given: Platform | None, layers: Sequence[Tree], runtime: Runtime, reporter: Reporter
) -> Platform:
    from imgpack.spec.platform import Platform
    from imgpack.tree.elf import find_program

    programs = [words[0] for words in (runtime.entrypoint, runtime.cmd) if words]
    found = find_program(layers, programs)
    if given is None:
        return found.platform if found else Platform()
    if found and not given.runs(found.platform):
        reporter.warn(
            f"{printable(found.path)} is a program for {found.platform}, "
            f"and the image is said to be for {given}"
        )
    return given
