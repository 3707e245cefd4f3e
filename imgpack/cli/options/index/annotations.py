"""``--annotation`` and ``--annotate``: what documents say of themselves and of each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from imgpack import api
from imgpack.cli.options.parameters import Decorator, gathered
from imgpack.spec.annotations import AnnotationPlace
from imgpack.spec.format import Format

if TYPE_CHECKING:
    from imgpack.api import Annotations, Named, Reporter
    from imgpack.cli.output.terminal import Terminal

_CREATED: Final = "org.opencontainers.image.created"
_OTHERS: Final = "index, layer, manifest-descriptor, index-descriptor"
_OTHER_TYPES: Final = "the image gets OCI's media types: Docker's have no annotations"


@dataclass(frozen=True, slots=True)
class AnnotationFlags:
    """What is to be said, as it was written; ``checkout`` is the directory that is looked at."""

    annotation: tuple[str, ...] = ()
    annotate: str | None = None
    checkout: str = "."

    def annotations(
        self, reporter: Reporter, created: str | None = None, *, several: bool = False
    ) -> Annotations:
        """All of it; what was written is said there alone, whatever was found.

        ``created`` is the image's time, if that is given; with ``several`` images what is found
        is said of their index as well. Raises ``ConfigError``.
        """
        given = api.Annotations.parse(self.annotation)
        if self.annotate is None:
            return given
        pairs = api.project_annotations(self.checkout, reporter)
        if created is not None:
            pairs[_CREATED] = created
        if not pairs:
            reporter.warn("--annotate auto finds neither a git repository nor a pyproject.toml")
        for one in given.items:
            pairs.pop(one.key, None)
        places = [AnnotationPlace.MANIFEST, *([AnnotationPlace.INDEX] if several else [])]
        found = [api.Annotations.at(place, pairs) for place in places]
        return sum([*found, given], api.Annotations())

    def check_format(self, given: str | None) -> None:
        """Refuse a format that has no annotations. Raises ``UsageError``."""
        if given == Format.DOCKER.value and (self.annotation or self.annotate):
            raise click.UsageError(
                "Docker's media types have no annotations; leave out --format docker"
            )


def annotated(
    named: Named,
    annotations: Annotations,
    terminal: Terminal,
    removed: Annotations | None = None,
    *,
    where: str = "the image",
) -> Named:
    """As ``api.annotated``; it is said if that changes the media types."""
    made = api.annotated(
        named, annotations, removed or api.Annotations(), where=where, reporter=terminal
    )
    before, after = ({one.format for one in api.images_in(each.image)} for each in (named, made))
    if before != after:
        terminal.remark(_OTHER_TYPES)
    return made


def format_for(annotations: Annotations, kind: Format, terminal: Terminal) -> Format:
    """``kind``, or OCI's for an image that has ``annotations``, which is said then."""
    outside = {AnnotationPlace.INDEX_DESCRIPTOR, AnnotationPlace.MANIFEST_DESCRIPTOR}
    if kind is Format.OCI or not annotations.places() - outside:
        return kind
    terminal.remark(_OTHER_TYPES)
    return Format.OCI


def annotation_option(default: str, others: str = _OTHERS) -> Decorator:
    """``--annotation``, which annotates ``default`` if it does not say one of the ``others``."""
    return click.option(
        "--annotation",
        multiple=True,
        metavar="[PLACE:]KEY=VALUE",
        help=f"Annotate the {default}, or PLACE: {others}; of one platform as "
        "manifest-descriptor[linux/arm64] (repeatable).",
    )


annotation_options = gathered(
    "annotated",
    AnnotationFlags,
    annotation_option("manifest"),
    click.option("--annotate", type=click.Choice(["auto"]),
                 help="Annotate it with what git and pyproject.toml here say: source, revision, "
                      "version, title, licenses. A changed file is not noticed."),
)  # fmt: skip
