"""What can be wrong with an image: the checks by their ids, and what was found."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from imgpack.errors import (
    ArchiveError,
    DigestError,
    DocumentError,
    Hint,
    ImgpackError,
    NotFoundError,
    TreeError,
    UnsupportedError,
    printable,
)

_LISTED: Final = 100
"""Problems of one kind in one place that are told one by one; more are counted."""
_LONGEST: Final = 4096
"""Bytes of a path that is kept beside the text, which shortens it: those of Linux's PATH_MAX."""


class ProblemLevel(Enum):
    """How much a problem matters."""

    ERROR = "error"
    """The image is not what it says, or engines refuse it."""
    WARNING = "warning"
    """It runs, and something in it is probably a mistake."""
    NOTE = "note"


class ImageCheck(Enum):
    """What is checked: the id, the level of a problem, and what holds of a sound image."""

    AGREEMENT = "agreement", ProblemLevel.ERROR, "manifest.json and index.json name the same images"
    DOCUMENT = "document", ProblemLevel.ERROR, "manifests, indexes and configurations are sound"
    ABSENT = "absent", ProblemLevel.NOTE, "everything that is named is there"
    LAYER_COUNT = "layer-count", ProblemLevel.ERROR, "there is a diff_id for each layer"
    HISTORY = "history", ProblemLevel.WARNING, "the history has an entry for each layer"
    PLATFORM = "platform", ProblemLevel.ERROR, "an index and a configuration say one platform"
    BLOB = "blob", ProblemLevel.ERROR, "every blob has its digest and its size"
    DIFF_ID = "diff-id", ProblemLevel.ERROR, "every layer unpacks to its diff_id"
    MEDIA_TYPE = "media-type", ProblemLevel.WARNING, "layers are compressed as they are called"
    LAYER = "layer", ProblemLevel.ERROR, "every layer can be unpacked"
    DUPLICATE = "duplicate-path", ProblemLevel.ERROR, "no layer has a path twice"
    WHITEOUT_NAME = "whiteout-name", ProblemLevel.ERROR, "every .wh. name means a deletion"
    WHITEOUT = "whiteout", ProblemLevel.WARNING, "every deletion deletes something"
    HARD_LINK = "hard-link", ProblemLevel.ERROR, "hard links name files of their own layer"
    SYMLINK = "symlink", ProblemLevel.NOTE, "symbolic links lead to something in the image"

    @property
    def id(self) -> str:
        """What programs call it."""
        return str(self.value[0])

    @property
    def level(self) -> ProblemLevel:
        """How much a problem matters, if it does not say so itself."""
        return self.value[1]

    @property
    def promise(self) -> str:
        """What holds of a sound image."""
        return str(self.value[2])


_KINDS: Final[dict[ImageCheck, type[ImgpackError]]] = {
    ImageCheck.AGREEMENT: ArchiveError,
    ImageCheck.ABSENT: NotFoundError,
    ImageCheck.BLOB: DigestError,
    ImageCheck.DIFF_ID: DigestError,
    ImageCheck.LAYER: ArchiveError,
    ImageCheck.DUPLICATE: TreeError,
    ImageCheck.WHITEOUT_NAME: TreeError,
    ImageCheck.HARD_LINK: TreeError,
}
"""The errors that say what a problem is, and have its exit code; of others ``DocumentError``."""
_MADE_AGAIN: Final = "make the layer again"
_HINTS: Final = {
    ImageCheck.DOCUMENT: "build or fetch it again",
    ImageCheck.BLOB: "build or fetch it again",
    ImageCheck.LAYER: _MADE_AGAIN,
    ImageCheck.DUPLICATE: _MADE_AGAIN,
    ImageCheck.WHITEOUT_NAME: _MADE_AGAIN,
    ImageCheck.HARD_LINK: f"{_MADE_AGAIN}, with both names in it, the file first",
}
"""What to do about a problem inside an image, where the error's own advice is about all of it."""


@dataclass(frozen=True, slots=True)
class ImageProblem:
    """One thing that is wrong: ``where``, such as a layer by its digest, and at which ``path``.

    ``kind`` is the error that it is of, and ``hint`` what that says to do, if it says so.
    """

    check: ImageCheck
    level: ProblemLevel
    where: str
    text: str
    path: bytes | None = None
    kind: type[ImgpackError] = DocumentError
    hint: Hint = ""

    def as_json(self) -> dict[str, Any]:
        """The JSON object."""
        out: dict[str, Any] = {
            "id": self.check.id, "severity": self.level.value,
            "where": self.where, "text": self.text,
        }  # fmt: skip
        return out if self.path is None else out | {"path": printable(self.path)}


@dataclass(slots=True)
class Findings:
    """Problems as they are found; of many of a kind in one place the first are kept.

    ``location`` is where the image lies, which no problem repeats.
    """

    location: str
    _found: list[ImageProblem] = field(default_factory=list)
    _counts: dict[tuple[ImageCheck, str], int] = field(default_factory=dict)

    def add(
        self,
        check: ImageCheck,
        where: str,
        text: str,
        *,
        level: ProblemLevel | None = None,
        path: bytes | None = None,
        kind: type[ImgpackError] | None = None,
        hint: Hint = "",
    ) -> None:
        """Take note of a problem."""
        key = check, where
        count = self._counts[key] = self._counts.get(key, 0) + 1
        if count <= _LISTED:
            path = None if path is None or len(path) > _LONGEST else path
            kind = kind or _KINDS.get(check, DocumentError)
            level = level or check.level
            self._found.append(ImageProblem(check, level, where, text, path, kind, hint))

    def caught(self, check: ImageCheck, where: str, error: ImgpackError) -> None:
        """Take note of a problem that is an ``error``, which need not say where it is."""
        text = error.message.removeprefix(f"{self.location}: ").removeprefix(f"{where}: ")
        if text.startswith(f"{self.location} has no "):
            text = "it is not there"
        self.add(check, where, text, kind=type(error), hint=error.hint)

    def problems(self) -> tuple[ImageProblem, ...]:
        """All of them, in the order they were found in."""
        more = []
        for (check, where), count in self._counts.items():
            if count > _LISTED:
                kind = _KINDS.get(check, DocumentError)
                text = f"and {count - _LISTED} more problems like these"
                more.append(ImageProblem(check, check.level, where, text, kind=kind))
        return (*self._found, *more)


@dataclass(frozen=True, slots=True)
class CheckedImage:
    """Something that was looked at: an image, index, artifact, attestation, or ``other``.

    ``platform`` is empty for what has none.
    """

    kind: str
    digest: str
    media_type: str
    platform: str = ""
    names: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "kind": self.kind, "digest": self.digest, "mediaType": self.media_type,
            "platform": self.platform or None, "names": list(self.names),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class TreeMismatch:
    """A path that an image and a directory have not alike.

    ``only`` is ``image`` or ``directory``, if the other lacks it; else ``fields`` differ: each with
    what the image and what the directory say, as text.
    """

    path: bytes
    only: str = ""
    fields: tuple[tuple[str, str, str], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The JSON object."""
        fields = [{"name": name, "image": a, "directory": b} for name, a, b in self.fields]
        out: dict[str, Any] = {"path": printable(self.path)}
        return out | ({"only": self.only} if self.only else {"fields": fields})


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check of the images at ``location`` found.

    ``blobs`` of ``size`` bytes were read. ``mismatches`` are the first of the ``mismatched`` paths
    that an image and a directory have not alike, if they were ``compared``.
    """

    location: str
    images: tuple[CheckedImage, ...] = ()
    problems: tuple[ImageProblem, ...] = ()
    blobs: int = 0
    size: int = 0
    mismatches: tuple[TreeMismatch, ...] = ()
    mismatched: int = 0
    compared: bool = field(default=False, kw_only=True)

    def of(self, level: ProblemLevel) -> Sequence[ImageProblem]:
        """The problems of one level."""
        return [problem for problem in self.problems if problem.level is level]

    @property
    def sound(self) -> bool:
        """Whether there is no error; an image that a directory does not match may be sound."""
        return not self.of(ProblemLevel.ERROR)

    @property
    def error(self) -> ImgpackError | None:
        """The error that stands for all of them: of the kind of the first."""
        errors = self.of(ProblemLevel.ERROR)
        if not errors:
            return None
        first = errors[0]
        others = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        text = f"{self.location} is not sound: {first.where}: {first.text}{others}"
        return first.kind(text, first.hint or _HINTS.get(first.check, ""))

    def as_json(self) -> dict[str, Any]:
        """The JSON object, without the mismatches."""
        counts = dict.fromkeys(ImageCheck, 0)
        for problem in self.problems:
            counts[problem.check] += 1
        return {
            "sound": self.sound,
            "images": [image.as_json() for image in self.images],
            "blobs": self.blobs,
            "bytes": self.size,
            "checks": [
                {"id": check.id, "promise": check.promise, "findings": count}
                for check, count in counts.items()
            ],
            "findings": [problem.as_json() for problem in self.problems],
        }


UNREADABLE: Final = (
    ArchiveError, DigestError, DocumentError, NotFoundError, UnsupportedError, TreeError,
)  # fmt: skip
"""What is wrong with one document or blob, and says nothing of others."""
