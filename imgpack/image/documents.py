"""From layers to documents: the configuration with its history, and the manifest.

Source: OCI image-spec ``config.md``, "history"; each layer has one entry, and
each setting an entry without a layer, as ``docker history`` shows a Dockerfile.
Invariant: nothing here names the building host, its paths or the tool's version,
for two images with the same content must be equal to the byte.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from imgpack.spec.config import History, ImageConfig, build_config
from imgpack.spec.descriptor import describe
from imgpack.spec.format import Format
from imgpack.spec.json import encode
from imgpack.spec.layer import Layer
from imgpack.spec.manifest import Manifest, build_manifest
from imgpack.spec.platform import Platform
from imgpack.spec.runtime import Healthcheck, Runtime

CREATED_BY: Final = "# imgpack"
"""What ends a history entry that imgpack made, as BuildKit ends its own."""
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""What is escaped in the history: Unicode's control characters, which it promises never to
change. What is printable differs with Python's release; the image ID must not."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything about an image but its layers."""

    platform: Platform
    runtime: Runtime
    author: str = ""
    comment: str = ""
    format: Format = Format.DOCKER

    def documents(
        self, dests: Sequence[bytes], layers: Sequence[Layer], created: str
    ) -> tuple[Manifest, ImageConfig]:
        """The manifest and the configuration of an image of ``layers``, bottom first.

        ``dests`` are their places in the image, without slashes around; ``created`` is
        RFC 3339 in UTC.
        """
        history = [
            History(created, text, self.author, self.comment, empty_layer=empty)
            for text, empty in self._history(dests)
        ]
        config = build_config(
            self.platform,
            [layer.diff_id for layer in layers],
            history,
            created=created,
            author=self.author,
            runtime=self.runtime,
        )
        manifest = build_manifest(
            describe(self.format.config_type, config.raw, config.digest),
            [layer.descriptor for layer in layers],
            self.format.manifest_type,
        )
        return manifest, config

    def _history(self, dests: Sequence[bytes]) -> Iterator[tuple[str, bool]]:
        for dest in dests:
            yield f"COPY . /{_in_history(dest)} {CREATED_BY}", False
        for instruction in instructions(self.runtime):
            yield f"{instruction} {CREATED_BY}", True


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
