"""What the commands that push say at the end: lines on standard output, and a JSON document."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from imgpack.cli.clock import now_ns
from imgpack.errors import CacheError
from imgpack.image import Image, MultiImage
from imgpack.spec.canonical import encode
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.reference import Reference
from imgpack.store import write_file

if TYPE_CHECKING:
    from imgpack.registry.delivery import Delivery
    from imgpack.registry.journal import UploadJournal
    from imgpack.registry.push import Pushed


def pinned(name: Reference, digest: Digest) -> str:
    """``NAME@sha256:…``, with the tag if the name has one."""
    return replace(name, digest=digest).shown()


def print_pushed(pushed: Iterable["Pushed"]) -> None:
    """One line a name on standard output."""
    for one in pushed:
        click.echo(pinned(one.name, one.digest))


def write_metadata(path: str, pushed: Sequence["Pushed"], deliveries: Sequence["Delivery"]) -> None:
    """Write digests, sizes, media types, diff_ids and names to ``path``, whole or not at all."""
    names = [(one.name, Descriptor(one.media_type, one.digest, one.size)) for one in pushed]
    write_document(path, names, [delivery.image for delivery in deliveries])


def write_document(
    path: str,
    names: Iterable[tuple[Reference, Descriptor]],
    images: Iterable[Image | MultiImage],
) -> None:
    """Write what each name stands for, and the images, to ``path``. Raises ``OutputError``."""
    document = {
        "names": [
            {
                "name": name.shown(),
                "digest": str(manifest.digest),
                "mediaType": manifest.media_type,
                "size": manifest.size,
            }
            for name, manifest in names
        ],
        "images": [described(image) for image in images],
    }
    write_file(path, encode(document, indent=2) + b"\n")


def described(image: Image | MultiImage) -> dict[str, Any]:
    """An image for programs: digests, sizes, media types and diff_ids."""
    if isinstance(image, MultiImage):
        return {
            **image.index.descriptor.as_json(),
            "manifests": [described(child) for child in image.images],
        }
    return {
        **image.manifest.descriptor.as_json(),
        "platform": image.config.platform.as_json(),
        "config": image.manifest.config.as_json(),
        "layers": [
            {**layer.as_json(), "diff_id": str(diff_id)}
            for layer, diff_id in zip(image.manifest.layers, image.config.diff_ids, strict=True)
        ],
    }


def one_registry(creds: str | None, names: Iterable[Reference]) -> str | None:
    """The registry that ``--creds`` is for: there must be one, or one password goes to several."""
    registries = list(dict.fromkeys(name.registry for name in names))
    if creds is not None and len(registries) > 1:
        raise click.UsageError(
            f"--creds is for one registry, and there are {', '.join(registries)}: use imgpack login"
        )
    return registries[0] if len(registries) == 1 else None


def upload_journal() -> "UploadJournal | None":
    """Where half-done uploads are remembered; nowhere, for a user without a home."""
    from imgpack.cli.caching import default_directory
    from imgpack.registry.journal import UploadJournal

    try:
        directory = os.path.join(default_directory(), "uploads")
    except CacheError:
        return None
    return UploadJournal(directory, now_ns() / 1e9)
