"""``imgpack build``: directory trees into an image archive or layout."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from imgpack.cli.options.cache import open_cache, parse_size, trim, usable_cpus
from imgpack.cli.options.clock import now_ns, parse_time, source_date_epoch, whole_seconds
from imgpack.cli.options.config import NAMES, TEXTS, in_unicode, parse_runtime, runtime_options
from imgpack.cli.options.scratch import scratch_directory
from imgpack.cli.options.sources import check_outside, default_output, name_of, parse_sources
from imgpack.cli.output.metadata import check_metadata_file, takes_standard_output, write_metadata
from imgpack.cli.output.results import pinned, to_standard_output
from imgpack.cli.output.terminal import Terminal
from imgpack.compression.codec import Codec
from imgpack.errors import ConfigError, InvalidReferenceError, printable
from imgpack.image.build import build_image
from imgpack.image.documents import Recipe
from imgpack.image.image import Published
from imgpack.layer.build import Options
from imgpack.layer.cache.segments import DEFAULT_LIMIT, SegmentCache
from imgpack.spec.config import Runtime, rfc3339
from imgpack.spec.format import Format
from imgpack.spec.platform import Platform
from imgpack.spec.reference import Reference, parse_name
from imgpack.store.archive.write import open_writer
from imgpack.tree.destination import Placed
from imgpack.tree.directory import Directory
from imgpack.tree.elf import guess_platform
from imgpack.tree.snapshot import Change
from imgpack.tree.transform import MAX_TIME, ClampTime, SetOwner, SetTime, Transform

_EXPLAINED = 100


@click.command("build")
@click.argument("sources", metavar="SRC[:/DEST]...", nargs=-1, required=True)
@click.option("-t", "--tag", multiple=True, metavar="NAME[:TAG]", help="A name (repeatable).")
@click.option(
    "-o",
    "--output",
    metavar="FILE|DIR/|-",
    help="An archive, an OCI layout directory, or - for a stream. [default: SRC.tar]",
)
@click.option(
    "--format",
    "image_format",
    type=click.Choice(["docker", "oci"]),
    default="docker",
    show_default=True,
    help="Whose media types.",
)
@click.option(
    "--compression",
    default="gzip",
    show_default=True,
    metavar="gzip[:1-12]|zstd[:1-19]|none",
    help="How layers are compressed.",
)
@click.option(
    "--platform",
    metavar="OS/ARCH[/VARIANT]",
    help="What the image runs on. [default: what its programs are for, else linux/amd64]",
)
@click.option(
    "--owner", default="keep", show_default=True, metavar="keep|UID:GID", help="Who owns it all."
)
@click.option("--mtime", metavar="TIME", help="Set every file's time.")
@click.option("--created", metavar="TIME", help="The image's time. [default: the newest file's]")
@click.option("--author", metavar="TEXT", help="The author.")
@click.option("--comment", metavar="TEXT", help="A comment for the history.")
@runtime_options
@click.option(
    "-j", "--jobs", type=click.IntRange(1, 256), metavar="N", help="Threads. [default: the CPUs]"
)
@click.option("--cache-dir", type=click.Path(), metavar="DIR", help="Where segments are cached.")
@click.option("--no-cache", is_flag=True, help="Neither read nor write the cache.")
@click.option(
    "--cache-limit",
    default=f"{DEFAULT_LIMIT >> 30}GiB",
    show_default=True,
    metavar="SIZE",
    help="Bytes that the cache may hold.",
)
@click.option("--check-contents", is_flag=True, help="Read every file, even if nothing changed.")
@click.option("--explain", is_flag=True, help="Say which layers were reused, or what changed.")
@click.option("--metadata-file", metavar="FILE", help="Write digests, sizes and names as JSON.")
@click.pass_obj
def build(terminal: Terminal, /, **values: Any) -> None:
    """Build an image from directory trees: each SRC is a layer, the first at the bottom.

    SRC:/dest/dir puts a tree under a path of the image. The result is one tar
    that docker, podman, containerd, skopeo and crane load.
    """
    request = _parse(values, terminal)
    layers = _options(values, terminal, request)
    with open_writer(
        request.output,
        stdout=sys.stdout.buffer if request.to_stdout else None,
        scratch=scratch_directory,
        reporter=terminal,
    ) as writer:
        image = build_image(
            request.trees,
            writer,
            request.recipe,
            request.names,
            layers,
            created=request.created,
            reporter=terminal,
            explain=_Explainer(terminal) if values["explain"] else None,
        )
    digest = image.manifest.descriptor.digest
    terminal.detail(f"image {image.config.digest}, manifest {digest}: to {writer.path}")
    if layers.cache is not None and layers.cache.stored:
        trim(layers.cache, request.cache_limit)
    metadata_file = values["metadata_file"]
    if metadata_file is not None:
        published = [Published(name, image.manifest.descriptor) for name in request.names]
        write_metadata(metadata_file, published, [image])
    taken = request.to_stdout or takes_standard_output(metadata_file)
    for name in request.names:
        click.echo(pinned(name, digest), err=taken)


@dataclass(frozen=True, slots=True)
class _Request:
    """What is to be built, parsed and checked; nothing was read or written yet."""

    trees: tuple[Placed[Directory], ...]
    names: tuple[Reference, ...]
    output: str
    to_stdout: bool
    recipe: Recipe
    codec: Codec
    created: str | None
    transforms: tuple[Transform, ...]
    cache_limit: int


def _parse(values: dict[str, Any], terminal: Terminal) -> _Request:
    values = values | in_unicode({name: values[name] for name in ("author", "comment", *TEXTS)})
    runtime = parse_runtime({name: values[name] for name in NAMES})
    trees = parse_sources(values["sources"], terminal.warn)
    recipe = Recipe(
        _platform(values["platform"], trees, runtime),
        runtime,
        values["author"] or "",
        values["comment"] or "",
        Format(values["image_format"]),
    )
    if runtime.healthcheck is not None and recipe.format is not Format.DOCKER:
        terminal.warn("podman ignores the health check of an OCI image; use --format docker")
    codec = Codec.parse(values["compression"])
    recipe.format.layer_type(codec.compression)
    epoch = source_date_epoch()
    created = None
    if values["created"] is not None:
        created = rfc3339(parse_time(values["created"], "--created"))
    elif epoch is not None:
        created = rfc3339(datetime.fromtimestamp(epoch, UTC))
    transforms = tuple(_transforms(values, epoch))
    cache_limit = parse_size(values["cache_limit"], "--cache-limit")
    names = _names(values["tag"], trees)
    output = values["output"] if values["output"] is not None else default_output(trees[0])
    to_stdout = to_standard_output(output)
    if not to_stdout:
        check_outside(trees, output, "the output")
    check_metadata_file(values["metadata_file"], (output,), trees)
    return _Request(
        trees, names, output, to_stdout, recipe, codec, created, transforms, cache_limit
    )


def _platform(text: str | None, trees: tuple[Placed[Directory], ...], runtime: Runtime) -> Platform:
    if text is not None:
        return Platform.parse(text)
    programs = [words[0] for words in (runtime.entrypoint, runtime.cmd) if words]
    return guess_platform(trees, programs) or Platform()


def _transforms(values: dict[str, Any], epoch: int | None) -> Iterator[Transform]:
    if values["mtime"] is not None:
        mtime = whole_seconds(parse_time(values["mtime"], "--mtime"))
        if not 0 <= mtime <= MAX_TIME:
            raise ConfigError(
                f"--mtime {values['mtime']!r} cannot be written",
                "a layer's times lie between 1970 and 2242",
            )
        yield SetTime(mtime)
    elif epoch is not None:
        yield ClampTime(epoch)
    if values["owner"] != "keep":
        uid, colon, gid = values["owner"].partition(":")
        if not (colon and all(n.isascii() and n.isdigit() and len(n) < 12 for n in (uid, gid))):
            raise ConfigError(
                f"--owner {values['owner']!r} is not keep or UID:GID", "write numbers, as 0:0"
            )
        owner = int(uid), int(gid)
        if max(owner) >= 2**32 - 1:
            raise ConfigError(f"--owner {values['owner']!r} is above the largest id, {2**32 - 2}")
        yield SetOwner(*owner)


def _names(tags: tuple[str, ...], trees: tuple[Placed[Directory], ...]) -> tuple[Reference, ...]:
    if tags:
        return tuple(dict.fromkeys(parse_name(tag) for tag in tags))
    try:
        return (parse_name(name_of(trees[0])),)
    except InvalidReferenceError as error:
        raise InvalidReferenceError(
            f"the directory's name {name_of(trees[0])!r} is no image name", "give one with -t NAME"
        ) from error


def _options(values: dict[str, Any], terminal: Terminal, request: _Request) -> Options:
    cache: SegmentCache | None = None
    if not values["no_cache"]:
        cache = open_cache(values["cache_dir"], request.trees, terminal)
    return Options(
        request.transforms,
        request.codec,
        values["jobs"] or usable_cpus(),
        cache,
        now_ns(),
        check_contents=values["check_contents"],
    )


class _Explainer:
    """Says for each layer, on standard error, why it was reused or what changed."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._layer = 0

    def __call__(self, reason: str, changes: Iterator[Change] | None) -> None:
        self._layer += 1
        self._terminal.say(f"layer {self._layer}: {reason}")
        for count, change in enumerate(changes or ()):
            if count < _EXPLAINED or self._terminal.verbose:
                self._terminal.say(f"  {printable(change.path)}: {change.how}")
            else:
                self._terminal.say("  and more; --verbose lists them all")
                break
