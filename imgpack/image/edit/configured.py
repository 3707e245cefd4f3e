"""An image with another configuration: new documents, and the layers that it has."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from imgpack.errors import DocumentError
from imgpack.events import SILENT, Reporter
from imgpack.image.base.stack import Stacked
from imgpack.image.build import check_time
from imgpack.image.documents import in_format, settings
from imgpack.image.image import BlobSource, Image
from imgpack.spec.config import History, ImageConfig
from imgpack.spec.descriptor import Descriptor, describe
from imgpack.spec.digest import Digest
from imgpack.spec.format import Format
from imgpack.spec.json import decode
from imgpack.spec.manifest import build_manifest
from imgpack.spec.merge.changes import RuntimeChanges, changed, merge
from imgpack.spec.merge.document import continue_config


@dataclass(frozen=True, slots=True)
class Configuring:
    """How the images at ``where`` are configured anew.

    The ``changes`` are to the image's own configuration. ``created`` is RFC 3339 in UTC, of the
    image and of what the history says (empty: the image's own); with ``history`` it says each
    change, as that of a build does; what an image says already is none. Raises ``ConfigError``.
    """

    where: str
    changes: RuntimeChanges
    created: str = ""
    author: str = ""
    comment: str = ""
    history: bool = True
    reporter: Reporter = SILENT
    _told: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.created:
            check_time(self.created)

    def configure(self, image: Image) -> Image:
        """``image`` with the changes. Raises ``ConfigError``, ``DocumentError``, ``LimitError``."""
        old = image.config
        try:
            merged = merge(old.config, self.changes, old.platform.os, own=True)
        except DocumentError as error:
            raise error.reworded(f"{self.where}: the configuration: {error.message}") from None
        for remark in merged.remarks:
            if remark not in self._told:  # most platforms have the same
                self._told.add(remark)
                self.reporter.warn(f"{self.where}: {remark}")
        if self._says_already(old, merged.config):
            return image
        created = self.created or old.created
        news = replace(merged, set=changed(old.config, merged))
        steps = [
            History(created, step, self.author, self.comment, empty_layer=True)
            for step in (settings(news) if self.history else ())
        ]
        config = continue_config(
            old,
            merged.config,
            (),
            steps,
            platform=old.platform,
            created=created,
            author=self.author,
        )
        return with_documents(image, config, image.manifest.layers)

    def _says_already(self, old: ImageConfig, runtime: Mapping[str, Any]) -> bool:
        """Whether nothing is changed."""
        same_author = not self.author or self.author == decode(old.raw).get("author")
        return runtime == old.config and self.created in ("", old.created) and same_author


def with_documents(
    image: Image,
    config: ImageConfig,
    layers: tuple[Descriptor, ...],
    made: BlobSource | None = None,
    kind: Format | None = None,
) -> Image:
    """``image`` with another configuration and other layers; its annotations stay.

    Those that it has not yet are ``made``. ``kind`` is its format, if not given: its own. Raises
    ``UnsupportedError`` for a layer that the format has no type for.
    """
    own = {layer.digest for layer in image.manifest.layers}
    new = {layer.digest for layer in layers} - own
    types = (image.manifest.config.media_type, image.manifest.media_type)
    if kind is not None and kind is not image.format:
        types = (kind.config_type, kind.manifest_type)
        layers = tuple(in_format(layer, kind) for layer in layers)
    manifest = build_manifest(
        describe(types[0], config.raw, config.digest),
        layers,
        types[1],
        dict(image.manifest.annotations),
    )
    held: dict[Digest, BlobSource] = {} if made is None else dict.fromkeys(new, made)
    source = Stacked(held, image.source) if held else image.source
    return Image(manifest, config, source, image.absent & {layer.digest for layer in layers})
