"""``imgpack inspect``: what an archive, layout or reference holds, for people or programs."""

import json
from collections.abc import Mapping
from typing import Any, Final

import click

from imgpack.cli.options.location import Located, choice_options, open_location
from imgpack.cli.options.registry import RegistryOptions, registry_options
from imgpack.cli.output.display import clipped, human_size, one_line, table
from imgpack.cli.output.terminal import Terminal
from imgpack.image.image import Image, MultiImage
from imgpack.spec import mediatype
from imgpack.spec.descriptor import Descriptor

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
@click.argument("location", metavar="ARCHIVE|REF")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--verify", is_flag=True, help="Read every layer and check digests and diff_ids.")
@choice_options
@registry_options
@click.pass_obj
def command(
    terminal: Terminal,
    *,
    location: str,
    as_json: bool,
    verify: bool,
    image: str | None,
    platform: str | None,
    registry: RegistryOptions,
) -> None:
    """Show an image's names, digests, sizes, layers, configuration and history.

    ARCHIVE is an archive file or an OCI layout directory, REF an image in a
    registry.
    """
    with open_location(location, terminal, registry, image=image, platform=platform) as located:
        verified = _verify(located, terminal) if verify else None
        if as_json:
            document: dict[str, Any] = {"location": location}
            if verified is not None:
                document["verified"] = True
            document["images"] = [image_document(one) for one in located.images]
            click.echo(_json(document))
            return
        lines: list[str] = []
        for one in located.images:
            lines += ["", *_shown(one, located)] if lines else _shown(one, located)
        if not located.images:
            lines.append(f"{location} holds no image")
        if verified is not None:
            lines += ["", f"verified: {verified} {_plural(verified, 'layer')}, all as promised"]
        click.echo("\n".join(lines))


def _json(document: dict[str, Any]) -> str:
    text = json.dumps(document)
    # Indenting what is deeply nested makes it hundreds of times as long.
    return json.dumps(document, indent=2) if len(text) <= _INDENTED else text


def _verify(located: Located, terminal: Terminal) -> int:
    from imgpack.image.verify import verify_images

    return verify_images(located.images, located.text, terminal)


def image_document(image: Image | MultiImage) -> dict[str, Any]:
    """What ``--json`` prints for one image; sizes in bytes."""
    names = [str(name) for name in image.names]
    if isinstance(image, MultiImage):
        index = image.index.descriptor.as_json()
        return {
            "names": names,
            "index": index,
            "images": [image_document(one) for one in image.images],
        }
    config = image.config
    return {
        "names": names,
        "manifest": image.manifest.descriptor.as_json(),
        "image_id": str(config.digest),
        "platform": str(config.platform),
        "created": config.created or None,
        "size": _total(image),
        "layers": [
            layer.as_json() | {"diff_id": str(diff_id)}
            for layer, diff_id in zip(image.manifest.layers, config.diff_ids, strict=True)
        ],
        "config": dict(config.config),
        "history": [entry.as_json() for entry in config.history],
    }


def _total(image: Image) -> int:
    return sum(layer.size for layer in image.layers)


def _shown(image: Image | MultiImage, located: Located) -> list[str]:
    title = ", ".join(name.shown() for name in image.names)
    if not title and located.archive is not None:
        # What tools other than Docker write beside an image is often a tag alone.
        title = f"(no name) {located.archive.title(image)}".rstrip()
    elif not title and located.reference is not None:
        title = located.reference.shown()
    title = one_line(title)
    if isinstance(image, Image):
        return [title, *_one(image)]
    kind = _FORMATS.get(image.index.media_type, image.index.media_type)
    out = [title, _field("Index", f"{image.index.descriptor.digest}  {kind}")]
    for one in image.images:
        out += ["", one_line(str(one.config.platform)), *_one(one)]
    return out


def _one(image: Image) -> list[str]:
    config = image.config
    descriptor = image.manifest.descriptor
    count = len(image.manifest.layers)
    size = f"{human_size(_total(image))} in {count} {_plural(count, 'layer')}"
    kind = _FORMATS.get(descriptor.media_type, descriptor.media_type)
    out = [
        _field("Manifest", f"{descriptor.digest}  {kind}"),
        _field("Image ID", str(config.digest)),
        _field("Platform", str(config.platform)),
        _field("Created", config.created or "(not said)"),
    ]
    if config.author:
        out.append(_field("Author", config.author))
    out.append(_field("Size", size))
    return [*out, *_layers(image), *_runtime(config.config), *_history(image)]


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
    return _section("Layers", table(rows, right=(0, 2))) if len(rows) > 1 else []


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
        lines.append(_field(one_line(key), first, indent=""))
        lines += [" " * _LABEL + one_line(line) for line in more]
    return _section("Config", lines) if lines else []


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
    layers = iter(image.manifest.layers)
    rows = [("CREATED", "LAYER", "SIZE", "COMMAND")]
    for entry in history:
        layer: Descriptor | None = None if entry.empty_layer else next(layers, None)
        command = one_line(entry.created_by + (f"  # {entry.comment}" if entry.comment else ""))
        rows.append(
            (
                one_line(entry.created[:19].replace("T", " ")),
                layer.digest.hex[:_ID] if layer else "-",
                human_size(layer.size) if layer else "-",
                clipped(command, _COMMAND),
            )
        )
    return _section("History", table(rows, right=(2,)))


def _field(label: str, value: str, indent: str = "  ") -> str:
    return f"{indent}{label:<{_LABEL}}{one_line(value)}"


def _section(title: str, lines: list[str]) -> list[str]:
    return ["", f"  {title}", *(f"    {line}" for line in lines)]


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"
