"""The annotations that a project's files give: ``org.opencontainers.image.*``.

OCI image-spec ``annotations.md``; the Python packaging user guide's ``pyproject.toml``, and
its well-known project URLs. Invariant: the same files give the same, whoever reads them and when,
so nothing is said of the time, and nothing that only a program finds out.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from imgpack.errors import ConfigError
from imgpack.events import SILENT, Reporter
from imgpack.files.reading import input_errors, read_regular
from imgpack.files.toml_lines import TooDeepError, lines_of
from imgpack.project.git import Checkout, find_checkout, plain_url

_PREFIX: Final = "org.opencontainers.image."
_SOURCES: Final = ("source", "repository", "sourcecode", "github")
"""What projects call the URL of their source (PyPA, "Well-known labels"), without punctuation."""
_MAX: Final = 1 << 20
"""Bytes of a ``pyproject.toml``."""
_LONGEST: Final = 1000
"""Characters of a value."""


def project_annotations(directory: str, reporter: Reporter = SILENT) -> dict[str, str]:
    """What git and ``pyproject.toml`` say of the project in ``directory``.

    ``revision`` is the commit that is checked out, whatever has been changed since; ``source``
    the project's own URL, else that of the remote ``origin``, without credentials; ``title``,
    ``version`` and ``licenses`` are the project's, where they are written down. What is not
    there is left out. Raises ``ConfigError`` for a ``pyproject.toml`` that is not TOML, and
    ``SourceError``.
    """
    with input_errors(directory):
        checkout = find_checkout(directory) or Checkout(os.path.realpath(directory))
    if checkout.origin is None and checkout.revision is None:
        reporter.detail(f"{directory} is in no git repository that can be read")
    project = _project(os.path.realpath(directory), checkout.top)
    license = project.get("license")
    found = {
        "source": _source(project) or checkout.origin,
        "revision": checkout.revision,
        "version": project.get("version"),
        "title": project.get("name"),
        "licenses": license if isinstance(license, str) else None,
    }
    return {_PREFIX + key: text for key, text in found.items() if text and _is_value(text)}


def _is_value(text: object) -> bool:
    return isinstance(text, str) and len(text) <= _LONGEST and text.isprintable()


def _project(directory: str, top: str) -> Mapping[str, Any]:
    """The table ``project`` of the nearest ``pyproject.toml``, in ``directory`` up to ``top``."""
    while True:
        with suppress(FileNotFoundError):
            return _read(os.path.join(directory, "pyproject.toml"))
        if directory == top or directory == os.path.dirname(directory):
            return {}
        directory = os.path.dirname(directory)


def _read(path: str) -> Mapping[str, Any]:
    if not os.path.lexists(path):
        raise FileNotFoundError(path)
    with input_errors(path):
        raw = read_regular(path, _MAX + 1, follow=True)
    try:
        if len(raw) > _MAX:
            raise ValueError(f"it has more than {_MAX} bytes")
        text = raw.decode().replace("\r\n", "\n")
        lines_of(text)  # before tomllib, which takes longer than linear for keys of many parts
        project = tomllib.loads(text).get("project", {})
    except TooDeepError as error:
        raise ConfigError(f"{path}:{error.line} is nested too deeply") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    return project if isinstance(project, dict) else {}


def _source(project: Mapping[str, Any]) -> str | None:
    urls = project.get("urls")
    for label, url in urls.items() if isinstance(urls, dict) else ():
        if re.sub(r"[\W_]+", "", label).lower() in _SOURCES and isinstance(url, str):
            return plain_url(url)
    return None
