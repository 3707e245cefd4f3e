"""From layers to documents: the configuration with its history, and the manifest.

Source: OCI image-spec ``config.md``, "history"; each layer has one entry, and
each setting an entry without a layer, as ``docker history`` shows a Dockerfile.
Invariant: nothing here names the building host, its paths or the tool's version,
for two images with the same content must be equal to the byte.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from imgpack.errors import DocumentError, LimitError, Remedy, UnsupportedError
from imgpack.image.image import Image
from imgpack.spec import mediatype
from imgpack.spec.config import History, ImageConfig, build_config
from imgpack.spec.descriptor import Descriptor, describe
from imgpack.spec.digest import Digest
from imgpack.spec.format import Format, compression_of
from imgpack.spec.json import encode
from imgpack.spec.layer import Layer
from imgpack.spec.manifest import (
    BASE_DIGEST,
    BASE_NAME,
    MAX_LAYERS,
    Manifest,
    build_manifest,
)
from imgpack.spec.merge.changes import MergedRuntime, RuntimeChanges, merge
from imgpack.spec.merge.document import continue_config
from imgpack.spec.merge.history import missing_history
from imgpack.spec.platform import Platform
from imgpack.spec.reference import Reference
from imgpack.spec.runtime import Healthcheck, Runtime

CREATED_BY: Final = "# imgpack"
"""What ends a history entry that imgpack made, as BuildKit ends its own."""
MANY_LAYERS: Final = 100
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""What is escaped in the history: Unicode's control characters, which it promises never to
change. What is printable differs with Python's release; the image ID must not."""


@dataclass(frozen=True, slots=True)
class BaseName:
    """What a base is called: ``name`` as it was asked for, if it was in a registry.

    ``digest`` is that of the document which the name points to, so of the index if it is one:
    whoever looks whether the base has moved compares these two.
    """

    digest: Digest
    name: Reference | None = None

    def as_annotations(self) -> dict[str, str]:
        """The annotations of OCI image-spec ``annotations.md``, "base image"."""
        found = {BASE_DIGEST: str(self.digest)}
        if self.name is not None:
            # A tag may move, and then its digest here says so.
            moving = replace(self.name, digest=None) if self.name.tag else self.name
            found[BASE_NAME] = str(moving)
        return found


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything about an image but its layers.

    On a ``base``, ``platform`` only stands in for what the base does not say. ``base_name``
    is recorded in annotations, and with ``base_labels`` in labels, too: the classic store of
    Docker forgets annotations.
    """

    platform: Platform
    changes: RuntimeChanges
    author: str = ""
    comment: str = ""
    format: Format = Format.DOCKER
    base: Image | None = None
    base_name: BaseName | None = None
    base_labels: bool = field(default=False, kw_only=True)

    def documents(
        self,
        dests: Sequence[bytes],
        layers: Sequence[Layer],
        created: str,
        parts: Sequence[str] = (),
    ) -> tuple[Manifest, ImageConfig]:
        """The manifest and the configuration of an image of ``layers``, bottom first.

        They are on top of those of the base. ``dests`` are their places in the image, without
        slashes around; ``created`` is RFC 3339 in UTC; ``parts`` are what each is called that
        is a part of a tree, else empty. Raises ``UnsupportedError`` for a base
        with triggers, or with layers that the format has no type for; ``ConfigError``,
        ``DocumentError`` and ``LimitError``.
        """
        count = len(layers) + len(self._below)
        if count > MAX_LAYERS:
            raise LimitError(
                f"the image has {count} layers, {len(self._below)} of them the base's",
                f"Docker takes {MAX_LAYERS}; put several trees into one",
            )
        names = (*parts, *("" for _ in dests[len(parts) :]))
        copied = [copied_to(dest, name) for dest, name in zip(dests, names, strict=True)]
        config = self._config(copied, [layer.diff_id for layer in layers], created)
        manifest = build_manifest(
            describe(self.format.config_type, config.raw, config.digest),
            [
                *(in_format(layer, self.format) for layer in self._below),
                *(layer.descriptor for layer in layers),
            ],
            self.format.manifest_type,
            None if self.base_name is None else self.base_name.as_annotations(),
        )
        return manifest, config

    def _config(
        self, copied: Sequence[str], diff_ids: Sequence[Digest], created: str
    ) -> ImageConfig:
        merged = self._merged()
        history = [
            History(created, text, self.author, self.comment, empty_layer=empty)
            for text, empty in _history(copied, merged)
        ]
        if self.base is None:
            return build_config(
                self.platform,
                diff_ids,
                history,
                created=created,
                author=self.author,
                runtime=merged.config,
            )
        return continue_config(
            self.base.config,
            merged.config,
            diff_ids,
            history,
            platform=self.platform,
            created=created,
            author=self.author,
        )

    def remarks(self, layers: int) -> tuple[str, ...]:
        """What a user should know of the image, of so many layers on top of the base's.

        Raises as ``documents``.
        """
        remarks = self._merged().remarks
        lost = 0 if self.base is None else missing_history(self.base.config)
        if lost:
            remarks += (f"the base's history says nothing of {lost} of its layers",)
        if (count := layers + len(self._below)) > MANY_LAYERS:
            remarks += (
                f"{count} layers leave little room for images on top: Docker takes {MAX_LAYERS}",
            )
        return remarks

    @property
    def _below(self) -> tuple[Descriptor, ...]:
        return () if self.base is None else self.base.manifest.layers

    def _merged(self) -> MergedRuntime:
        changes = self.changes
        if self.base_name is not None and self.base_labels:
            labels = self.base_name.as_annotations() | dict(changes.set.labels)
            changes = replace(changes, set=replace(changes.set, labels=tuple(labels.items())))
        if self.base is None:
            return merge({}, changes, self.platform.os)
        config = self.base.config
        try:
            return merge(config.config, changes, config.platform.os)
        except DocumentError as error:
            raise error.reworded(f"the base's configuration: {error.message}") from None


def in_format(layer: Descriptor, kind: Format) -> Descriptor:
    """A layer with the type that it has in a manifest of ``kind``, and nothing else changed.

    Layers that are kept elsewhere stay what they are. Raises ``UnsupportedError`` where the
    format has no such type.
    """
    if Format.of(layer.media_type) is kind or mediatype.is_foreign(layer.media_type):
        return layer
    compression = compression_of(layer.media_type)
    if compression is None:
        raise UnsupportedError(
            f"the layer {layer.digest} of the base is of the type {layer.media_type[:80]!r}, "
            f"which the {kind.value} format does not have"
        )
    try:
        return replace(layer, media_type=kind.layer_type(compression))
    except UnsupportedError as error:
        message = f"the layer {layer.digest} of the base: {error.message}"
        raise error.reworded(message, Remedy.USE_OCI()) from None


def _history(copied: Sequence[str], merged: MergedRuntime) -> Iterator[tuple[str, bool]]:
    for step in copied:
        yield f"{step} {CREATED_BY}", False
    for step in settings(merged):
        yield step, True


def settings(merged: MergedRuntime) -> Iterator[str]:
    """What the history says of what was set and unset."""
    for instruction in instructions(merged.set):
        yield f"{instruction} {CREATED_BY}"
    for instruction in merged.unset:
        yield f"UNSET {instruction} {CREATED_BY}"


def copied_to(dest: bytes, name: str = "") -> str:
    """The instruction of a layer that lies at ``dest``; ``name`` is that of a part of a tree."""
    return f"COPY {name or '.'} /{_in_history(dest)}"


def _in_history(dest: bytes) -> str:
    """A destination as text, the same for the same bytes everywhere."""
    return _CONTROLS.sub(
        lambda found: repr(found[0])[1:-1], dest.decode("utf-8", "backslashreplace")
    )


def instructions(runtime: Runtime) -> Iterator[str]:
    """The Dockerfile instructions that say what ``runtime`` says, in a fixed order."""
    for variable in runtime.env:
        yield f"ENV {variable}"
    for key, value in sorted(runtime.labels):
        yield f"LABEL {key}={value}"
    for ports in sorted(map(str, runtime.exposed_ports)):
        yield f"EXPOSE {ports}"
    for path in sorted(runtime.volumes):
        yield f"VOLUME {_list([path])}"
    if runtime.shell:
        yield f"SHELL {_list(runtime.shell)}"
    if runtime.user:
        yield f"USER {runtime.user}"
    if runtime.working_dir:
        yield f"WORKDIR {runtime.working_dir}"
    for trigger in runtime.onbuild:
        yield f"ONBUILD {trigger}"
    if runtime.stop_signal:
        yield f"STOPSIGNAL {runtime.stop_signal}"
    if runtime.healthcheck is not None:
        yield _healthcheck(runtime.healthcheck)
    if runtime.entrypoint is not None:
        yield f"ENTRYPOINT {_list(runtime.entrypoint)}"
    if runtime.cmd is not None:
        yield f"CMD {_list(runtime.cmd)}"


def _healthcheck(check: Healthcheck) -> str:
    flags = [
        f"--{name}={value / 1e9:g}s "
        for name, value in (
            ("interval", check.interval),
            ("timeout", check.timeout),
            ("start-period", check.start_period),
        )
        if value
    ]
    if check.retries:
        flags.append(f"--retries={check.retries} ")
    kind, *words = check.test
    if kind == "NONE":
        return "HEALTHCHECK NONE"
    command = words[0] if kind == "CMD-SHELL" else _list(words)
    return f"HEALTHCHECK {''.join(flags)}CMD {command}"


def _list(words: Sequence[str]) -> str:
    return encode(list(words)).decode()
