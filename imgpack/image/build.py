"""From trees to an image in a sink: layers first, as they are made, then their documents."""

import os
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from imgpack.errors import ConfigError, TreeError, UnsupportedError, printable, quoted
from imgpack.events import SILENT, Reporter, human_size
from imgpack.image.annotate import annotated
from imgpack.image.documents import BaseName, Recipe
from imgpack.image.image import BlobSink, BlobSource, Image, ImageIndex, LayerSink, Named
from imgpack.image.join import join
from imgpack.layer.build import Built, Explain, LayerBuilder, Options
from imgpack.layer.stack import Group, LayerStack, grouped, is_finished
from imgpack.layer.stages import Stages
from imgpack.spec.annotations import Annotations
from imgpack.spec.config import ImageConfig, rfc3339
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.format import Compression
from imgpack.spec.layer import Layer
from imgpack.spec.manifest import MAX_LAYERS
from imgpack.spec.reference import Reference
from imgpack.tar.header import END
from imgpack.tree.destination import Placed
from imgpack.tree.parts import NamedPart
from imgpack.tree.rules.accounts import check_user
from imgpack.tree.tree import Tree

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where engines look for programs of an image that does not say."""
_EXPECTED_SIZE: Final = 100_000_000
"""Bytes: a guess at a layer's size, good enough to guess how long a manifest will be."""
_CREATED: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:\.[0-9]{1,9})?Z")


@dataclass(frozen=True, slots=True)
class Base:
    """The image that another goes over, what its layers make together, what it is called."""

    image: Image
    tree: Tree
    name: BaseName | None = None

    @property
    def identity(self) -> tuple[str, ...]:
        """What is below: the layers, and what is said that they make, which a lock may do."""
        from imgpack.tree.merge.listing import Listing, listing_text

        tree = self.tree
        listing = tree if isinstance(tree, Listing) else Listing(listing_text(tree))
        return (listing.identity, *map(str, self.image.config.diff_ids))


@dataclass(frozen=True, slots=True)
class Placement:
    """What lies below the layers, and what becomes of what it has as well.

    What the base has just so is left out, unless ``keep_identical``. With ``base_labels`` the
    base's name is recorded in labels as well. ``squash`` makes one layer of all, but of raw
    ones. ``lower`` is what lies below where no base does: in no layer.
    """

    base: Base | None = None
    keep_identical: bool = False
    base_labels: bool = False
    squash: bool = False
    lower: Tree | None = None

    def stack(
        self, groups: Sequence[Group], stages: Stages, reporter: Reporter = SILENT
    ) -> LayerStack:
        """The layers of ``groups`` over what lies below."""
        base = self.base
        return LayerStack(
            groups,
            stages,
            self.lower if base is None else base.tree,
            () if base is None else base.identity,
            reporter,
            keep_identical=self.keep_identical,
        )


@dataclass(frozen=True, slots=True)
class _InSink:
    """Where the layers of a new image are: its base's in ``base``, the others in its sink,
    which nobody can read yet.
    """

    base: BlobSource | None = None
    held: frozenset[Digest] = frozenset()

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        if self.base is not None and descriptor.digest in self.held:
            return self.base.read_blob(descriptor, offset)
        raise UnsupportedError(
            f"the layer {descriptor.digest} of a new image is where it was built into",
            "open that to read it",
        )


class ImageBuild:
    """One image that is to be built: its documents as they will probably be, then as they are.

    Of ``trees``, a layer each, bottom first. ``created`` is RFC 3339 in UTC (``None``: the newest
    time in the layers, or the base's if there are none, or deletions alone). Raises
    ``ConfigError`` and what ``Recipe.remarks`` does.
    """

    def __init__(
        self,
        trees: Sequence[Placed[Tree]],
        recipe: Recipe,
        options: Options,
        *,
        placement: Placement = Placement(),
        created: str | None = None,
        reporter: Reporter = SILENT,
        explain: Explain | None = None,
    ) -> None:
        if created is not None:
            check_time(created)
        elif recipe.base is not None and all(tree.strict for tree in trees):
            created = recipe.base.config.created or None
        self._groups = grouped(trees, squash=placement.squash)
        for remark in recipe.remarks(len(self._groups)):
            reporter.warn(remark)
        self._types = [
            recipe.format.layer_type(compression_in(group[0], options)) for group in self._groups
        ]
        self._parts = [_part(group[0]) for group in self._groups]
        self._recipe = recipe
        self._created = created
        self._source, self._absent = _source(placement.base)
        self._building = partial(StackBuilding, self._groups, options, placement, reporter)
        self._builder = partial(LayerBuilder, options, reporter, explain)

    @property
    def known(self) -> frozenset[Digest]:
        """The layers that are there already: those that its base holds."""
        return self._source.held - self._absent

    def draft(self, first: int = 0) -> Image:
        """It with documents about as long; ``first`` is a number for the first of its layers.

        Each layer is another, as the real ones: what names a layer twice is shorter.
        """
        unknown = [Digest.of(b"%d" % (first + number)) for number in range(len(self._groups))]
        expected = [
            Layer(Descriptor(kind, one, _EXPECTED_SIZE), one)
            for kind, one in zip(self._types, unknown, strict=True)
        ]
        places = [b"" if len(group) > 1 else group[0].dest for group in self._groups]
        return self._image(places, expected, self._created or in_rfc3339(0))

    def build(self, sink: LayerSink) -> Image:
        """It, whose layers are in ``sink`` then. Raises source, tree, config and output errors."""
        stack = self._building()
        stack.build(self._builder(), sink, self._types)
        image = self._image(stack.dests, stack.layers, self._created or in_rfc3339(stack.newest))
        stack.check_user(image.config, self._recipe)
        stack.check_program(image.config, self._recipe)
        return image

    def _image(self, dests: Sequence[bytes], layers: Sequence[Layer], created: str) -> Image:
        documents = self._recipe.documents(dests, layers, created, self._parts)
        return Image(*documents, self._source, self._absent)


def build_images(
    images: Sequence[ImageBuild],
    sink: LayerSink,
    names: tuple[Reference, ...],
    annotations: Annotations,
) -> Image | ImageIndex:
    """Write the one image, or an index of several, to ``sink`` under ``names``.

    They are built one after another; layers that are equal are there once. Raises what building
    them does, ``ConfigError`` for two of one platform; nothing is visible in the sink then.
    """
    known = frozenset[Digest]().union(*(image.known for image in images))
    drafts = [image.draft(MAX_LAYERS * number) for number, image in enumerate(images)]
    sink.reserve(_named(drafts, names, annotations), known)
    built = _named([image.build(sink) for image in images], names, annotations)
    sink.write([built])
    assert isinstance(built.image, Image | ImageIndex)
    return built.image


def _named(
    images: Sequence[Image], names: tuple[Reference, ...], annotations: Annotations
) -> Named:
    """All of them together, under their names."""
    together = images[0] if len(images) == 1 else join(images)
    return annotated(Named(together, names), annotations)


def compression_in(tree: Placed[Tree], options: Options) -> Compression:
    """How the layer of ``tree`` is compressed, which may be finished."""
    raw = tree.tree
    return raw.compression if is_finished(raw) else options.codec.compression


def _part(tree: Placed[Tree]) -> str:
    return tree.tree.part_name if isinstance(tree.tree, NamedPart) else ""


def _told(built: Built) -> str:
    record, written = built.record, built.record.written
    return (
        f"{written.digest}, {human_size(written.size)} from {human_size(written.raw_size)};"
        f" {built.reused} of {len(record.segments)} segments reused"
        + (f", {built.copied} copied" if built.copied else "")
    )


class StackBuilding:
    """The layers as they are built, each over those before it and the base's."""

    def __init__(
        self,
        groups: Sequence[Group],
        options: Options,
        placement: Placement,
        reporter: Reporter,
    ) -> None:
        self.layers: list[Layer] = []
        self.dests: list[bytes] = []
        self.empty: set[int] = set()
        """Numbers of layers of trees of which there was nothing to write."""
        self.newest = 0
        self._outputs = options.outputs
        self._reporter = reporter
        self._stack = placement.stack(groups, options.stages, reporter)

    def build(self, builder: LayerBuilder, sink: BlobSink, types: Sequence[str]) -> None:
        """Write all layers, of these media types. Raises ``ConfigError`` for an idle rule."""
        matched: set[int] = set()
        for number, (tree, stages) in enumerate(self._stack.staged()):
            if is_finished(tree.tree):
                blob = sink.open_blob(tree.tree.written.size)
                built = tree.tree.write(blob, self._outputs, self._reporter)
            else:
                built = builder.build(tree, sink.open_blob, stages)
                if built.record.written.raw_size == len(END):
                    self.empty.add(number)
                    self._reporter.warn(f"the layer of {tree} is empty")
            record, written = built.record, built.record.written
            matched.update(record.matched)
            self._stack.built(written.diff_id)
            self.layers.append(written.layer(types[number]))
            self.dests.append(tree.dest)
            self.newest = max(self.newest, record.newest)
            where = f"layer {number + 1} of {len(types)}, /{printable(tree.dest)}"
            self._reporter.detail(f"{where}: {_told(built)}")
        self._stack.check(matched)

    def check_user(self, config: ImageConfig, recipe: Recipe) -> None:
        """Refuse a user that is not one of the image; where there is no base it is only told."""
        inherited = not recipe.changes.set.user
        user = str(config.config.get("User", ""))
        try:
            told = check_user(user, self._stack.below.read_file, inherited=inherited)
        except ConfigError as error:
            if recipe.base is not None:
                raise
            told = error.message
        if told:
            self._reporter.warn(told)

    def check_program(self, config: ImageConfig, recipe: Recipe) -> None:
        """Tell of a program that is not in the image; without a base it may come from elsewhere."""
        entrypoint, said = config.config.get("Entrypoint"), recipe.changes.set
        words = entrypoint or config.config.get("Cmd") or []
        if recipe.base is None or not words or self._is_there(words[0], config.config):
            return
        whose = "" if (said.entrypoint if entrypoint else said.cmd) else " of the base"
        self._reporter.warn(f"the program {quoted(words[0])}{whose} is not in the image")

    def _is_there(self, program: str, config: Mapping[str, Any]) -> bool:
        """Whether a container finds ``program``: by its path, or in those of ``PATH``."""
        places = [config.get("WorkingDir") or "/"]
        if "/" not in program:
            variables = dict(one.partition("=")[::2] for one in config.get("Env") or ())
            places = variables.get("PATH", _PATH).split(":")
        below = self._stack.below
        for place in places:
            parts = posixpath.join("/", place, program).split("/")
            path = os.fsencode("/".join(part for part in parts if part not in ("", ".")))
            with suppress(TreeError):  # the way is through something that is no directory
                if below.find(below.resolve(path, path, file=True)) is not None:
                    return True
        return False


def _source(base: Base | None) -> tuple[_InSink, frozenset[Digest]]:
    if base is None:
        return _InSink(), frozenset()
    image = base.image
    held = frozenset(layer.digest for layer in image.manifest.layers)
    return _InSink(image.source, held), image.absent


def check_time(created: str) -> None:
    """Refuse a time that is not RFC 3339 in UTC. Raises ``ConfigError``."""
    try:
        datetime.fromisoformat(created)
        known = _CREATED.fullmatch(created)
    except ValueError:
        known = None
    if not known:
        raise ConfigError(
            f"the time {quoted(created)} is not RFC 3339 in UTC",
            "write it as 2026-01-31T12:00:00Z",
        )


def in_rfc3339(seconds: int) -> str:
    """A time in seconds as documents have it."""
    return rfc3339(datetime.fromtimestamp(seconds, UTC))
