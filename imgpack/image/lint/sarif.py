"""Findings as SARIF 2.1.0 (OASIS), which code scanning of GitHub and others shows.

Invariant: every rule is described, whether it found something or not; secrets stay shortened.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from os import fsencode
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from imgpack.errors import printable
from imgpack.image.lint.findings import Linted, LintFinding
from imgpack.image.lint.rules import RULES, LintLevel, LintRule

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS: Final = {
    LintLevel.ERROR: "error",
    LintLevel.WARNING: "warning",
    LintLevel.INFO: "note",
}


def lint_sarif(
    linted: Linted, location: str, version: str, *, directory: str = ""
) -> dict[str, Any]:
    """One run of imgpack's ``version`` for what was found at ``location``, as decoded JSON.

    A path of the image is a relative URI, that of a tree on disk is below ``directory``: a path
    from where sources begin, or an absolute one. What is in no file is at ``location``.
    """
    above = quote(fsencode(directory))
    places = _SarifPlaces(
        quote(fsencode(location)), f"file://{above}" if above[:1] == "/" else above
    )
    numbers = {name: number for number, name in enumerate(RULES)}
    seen: Counter[str] = Counter()
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "imgpack",
                        "version": version,
                        "rules": [_rule(rule) for rule in RULES.values()],
                    }
                },
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": list(_notifications(linted)),
                    }
                ],
                "results": [
                    _result(found, numbers[found.rule.id], places, seen)
                    for found in linted.findings
                ],
                "columnKind": "unicodeCodePoints",
            }
        ],
    }


class _SarifPlaces(NamedTuple):
    """URIs: of the ``whole``, and of what is ``above`` each path."""

    whole: str
    above: str

    def of(self, path: bytes | None) -> str:
        """Where a finding is."""
        if path is None:
            return self.whole
        return "/".join(filter(None, (self.above, quote(path)))) or "."


def _rule(rule: LintRule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why},
        "help": {"text": rule.mend},
        "defaultConfiguration": {"level": _LEVELS[rule.level]},
    }


def _notifications(linted: Linted) -> Iterator[dict[str, Any]]:
    for what in linted.unchecked:
        yield {"level": "warning", "message": {"text": f"not checked: {what}"}}
    for rule, count in linted.more:
        text = f"{count} more findings of {rule.id} are left out"
        yield {"level": "warning", "message": {"text": text}}


def _result(
    found: LintFinding, number: int, places: _SarifPlaces, seen: Counter[str]
) -> dict[str, Any]:
    """What was found; ``seen`` has how often the same was told, whatever the line."""
    physical: dict[str, Any] = {"artifactLocation": {"uri": places.of(found.path)}}
    if found.line:
        physical["region"] = {"startLine": found.line}
    place: dict[str, Any] = {"physicalLocation": physical}
    if found.place:
        place["logicalLocations"] = [{"fullyQualifiedName": found.place}]
    layers = {"layer": found.layer, "deletedBy": found.deleted_by}
    told = "\0".join((found.rule.id, printable(found.path or b""), found.place, found.message))
    same = hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()
    seen[same] += 1
    return {
        "ruleId": found.rule.id,
        "ruleIndex": number,
        "level": _LEVELS[found.rule.level],
        "message": {"text": found.message},
        "locations": [place],
        # By the first of them GitHub tells findings of one rule at one path apart.
        "partialFingerprints": {
            "primaryLocationLineHash": f"{same}:{seen[same]}",
            "imgpackFinding/v1": same,
        },
        "properties": {key: layer + 1 for key, layer in layers.items() if layer is not None},
    }
