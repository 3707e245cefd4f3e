"""``imgpack inspect``: what an archive, layout or reference holds, for people or programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from imgpack import api
from imgpack.cli.options.image.files import Looking, looking_options
from imgpack.cli.options.image.report import Report, report_options
from imgpack.cli.options.location import open_location
from imgpack.cli.options.parameters import FILE
from imgpack.cli.output.colour import bold, echo
from imgpack.cli.output.display import available, clipped, counted, folded, one_line, padded, table
from imgpack.events import human_size
from imgpack.spec import mediatype

if TYPE_CHECKING:
    from imgpack.api import AnyImage, Digest, Image, Named
    from imgpack.cli.output.terminal import Terminal

_FORMATS: Final = {
    mediatype.DOCKER_MANIFEST: "Docker v2",
    mediatype.OCI_MANIFEST: "OCI",
    mediatype.DOCKER_INDEX: "Docker list",
    mediatype.OCI_INDEX: "OCI index",
}
_LABEL: Final = 13
_COMMAND: Final = 96
_ID: Final = 12
_INDENTED: Final = 1 << 20
"""Characters of JSON: more is for programs alone, on one line."""


@click.command("inspect")
@click.argument("location", type=FILE, metavar="ARCHIVE|REF")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--verify", is_flag=True, help="Read every layer and check digests and diff_ids.")
@report_options
@looking_options
@click.pass_obj
def inspect(
    terminal: Terminal,
    *,
    location: str,
    as_json: bool,
    verify: bool,
    report: Report,
    looking: Looking,
) -> None:
    """Show an image's names, digests, sizes, layers, configuration and history.

    ARCHIVE is an archive file or an OCI layout directory, REF an image in a
    registry. With --html, one image and its files are a page for a browser,
    which needs no network.
    """
    report.check(as_json=as_json, verify=verify)
    if report.html is not None:
        report.write(location, looking, terminal)
        return
    location, choice = looking.choice.within(location)
    with open_location(location, terminal, looking.registry, choice=choice) as opened:
        images = choice.all(opened)
        whole = [named.image for named in images]
        verified = api.verify_images(whole, opened.location, terminal) if verify else None
        if as_json:
            told = [api.described(named) for named in images]
            document = {"location": location, "verified": verify, "images": told}
            click.echo(_json(document))
            return
        lines: list[str] = []
        for named in images:
            lines += ["", *_shown(named)] if lines else _shown(named)
        if verified is not None:
            lines += ["", f"verified: {counted(verified, 'layer')}, all as promised"]
            if missing := sum(len(api.missing_layers(image)) for image in whole):
                lines.append(f"missing: {counted(missing, 'layer')}, not verified")
        echo("\n".join(lines), sys.stdout)


def _json(document: dict[str, Any]) -> str:
    text = json.dumps(document)
    # Indenting what is deeply nested makes it hundreds of times as long.
    return json.dumps(document, indent=2) if len(text) <= _INDENTED else text


def _shown(named: Named) -> list[str]:
    title = ", ".join(name.shown() for name in named.names)
    # What tools other than Docker write beside an image is often a tag alone.
    title = title or f"(no name) {', '.join(named.labels)}".rstrip()
    heading = [bold(line, sys.stdout) for line in folded(one_line(title), available(), 2)]
    return [*heading, *_details(named.image)]


def _details(image: AnyImage) -> list[str]:
    if isinstance(image, api.Image):
        return _image(image)
    if isinstance(image, api.Opaque):
        return [
            _digest("Blob", image.descriptor.digest),
            *_field("Type", image.media_type),
            *_field("Size", human_size(image.descriptor.size)),
        ]
    kind = _FORMATS.get(image.document.media_type, image.document.media_type)
    digest = image.document.descriptor.digest
    if isinstance(image, api.Artifact):
        size = human_size(api.total_size(image))
        return [
            _digest("Manifest", digest, kind),
            *_field("Artifact", image.type),
            *_field("Size", size),
        ]
    out = [_digest("Index", digest, kind), *_annotations(image.index.annotations)]
    for one in image.members:
        out += ["", _heading(one), *_details(one)]
    return out


def _heading(image: AnyImage) -> str:
    if isinstance(image, api.Image):
        return one_line(str(image.config.platform))
    if isinstance(image, api.ImageIndex):
        return "index"
    return "artifact" if isinstance(image, api.Artifact) else "other"


def _image(image: Image) -> list[str]:
    config = image.config
    descriptor = image.manifest.descriptor
    count = len(image.manifest.layers)
    size = f"{human_size(api.total_size(image))} in {counted(count, 'layer')}"
    kind = _FORMATS.get(descriptor.media_type, descriptor.media_type)
    out = [
        _digest("Manifest", descriptor.digest, kind),
        _digest("Image ID", config.digest),
        *_field("Platform", str(config.platform)),
        *_field("Created", config.created or "(not said)"),
    ]
    if config.author:
        out += _field("Author", config.author)
    out += _field("Size", size)
    if missing := api.missing_layers(image):
        lost = human_size(sum(layer.size for layer in missing))
        told = f"{counted(len(missing), 'layer')}, {lost} (it is shallow)"
        out += _field("Missing", told)
    annotations = _annotations(image.manifest.annotations)
    return [*out, *annotations, *_layers(image), *_runtime(config.config), *_history(image)]


def _annotations(pairs: Sequence[tuple[str, str]]) -> list[str]:
    lines = [one_line(f"{key}={text}") for key, text in pairs]
    return _section("Annotations", lines) if lines else []


def _layers(image: Image) -> list[str]:
    rows = [("#", "DIGEST", "SIZE", "TYPE", "DIFF_ID")]
    for number, layer in enumerate(image.manifest.layers):
        diff_id = image.config.diff_ids[number].hex[:_ID]
        rows.append(
            (
                str(number + 1),
                str(layer.digest),
                human_size(layer.size),
                one_line(_short_type(layer.media_type)),
                diff_id,
            )
        )
    return _section("Layers", _table(rows, right=(0, 2), flexible=1)) if len(rows) > 1 else []


def _short_type(media_type: str) -> str:
    for prefix in ("application/vnd.oci.image.layer.v1.", "application/vnd.docker.image.rootfs."):
        media_type = media_type.removeprefix(prefix)
    return media_type


def _runtime(config: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for key, value in config.items():
        if value in (None, "", [], {}, False, 0):
            continue
        first, *more = _values(key, value)
        lines += _field(one_line(key), first, indent=4)
        for value in more:
            lines += _field("", value, indent=4)
    return ["", "  Config", *lines] if lines else []


def _values(key: str, value: Any) -> list[str]:
    """The lines that one field of the configuration takes."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and key in ("Env", "OnBuild") and value:
        return [str(item) for item in value]
    if isinstance(value, dict) and value and all(item == {} for item in value.values()):
        return [" ".join(value)]
    if key == "Labels" and isinstance(value, dict) and value:
        return [f"{name}={text}" for name, text in value.items()]
    return [json.dumps(value, ensure_ascii=False)]


def _history(image: Image) -> list[str]:
    history = image.config.history
    if not history:
        return []
    rows = [("CREATED", "LAYER", "SIZE", "COMMAND")]
    for step in api.image_steps(image)[: len(history)]:
        entry, layer = step.said, step.layer and step.layer.descriptor
        command = one_line(entry.created_by + (f"  # {entry.comment}" if entry.comment else ""))
        rows.append(
            (
                one_line(entry.created[:19].replace("T", " ")),
                layer.digest.hex[:_ID] if layer else "-",
                human_size(layer.size) if layer else "-",
                clipped(command, _COMMAND),
            )
        )
    return _section("History", _table(rows, right=(2,), flexible=3))


def _field(label: str, value: str, indent: int = 2) -> list[str]:
    start = " " * indent + padded(label, _LABEL)
    return folded(start + one_line(value), available(), indent + _LABEL)


def _digest(label: str, digest: Digest, kind: str = "") -> str:
    (cells,) = table(
        [[str(digest), one_line(kind)] if kind else [str(digest)]], width=_room(2 + _LABEL)
    )
    return f"  {label:<{_LABEL}}{cells}"


def _table(rows: Sequence[Sequence[str]], right: tuple[int, ...], flexible: int) -> list[str]:
    return table(rows, right=right, flexible=flexible, width=_room(4))


def _room(indent: int) -> int | None:
    """The columns that are left behind ``indent``; digests in full are for wide terminals."""
    columns = available()
    return None if columns is None else columns - indent


def _section(title: str, lines: list[str]) -> list[str]:
    return ["", f"  {title}", *(f"    {line}" for line in lines)]
