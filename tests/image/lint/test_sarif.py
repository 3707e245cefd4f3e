"""Findings as SARIF: where each is said to be, and what is not told."""

from imgpack.image.lint.findings import Linted, LintFinding
from imgpack.image.lint.rules import RULES
from imgpack.image.lint.sarif import lint_sarif

RULE = RULES["secret-file"]
OTHER = RULES["user-root"]


def result(found: LintFinding) -> dict[str, object]:
    """What is said of one finding in an image at ``a b.tar``."""
    (run,) = lint_sarif(Linted((found,)), "a b.tar", "1")["runs"]
    (told,) = run["results"]
    return dict(told)


def test_a_finding_is_where_it_was_found() -> None:
    """In a line of a file and a layer, or at a place of the configuration."""
    told = result(LintFinding(RULE, "looks so", b"a/b\xff", 2, 3, 7))
    assert told["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "a/b%FF"},
                "region": {"startLine": 7},
            }
        }
    ]
    assert told["properties"] == {"layer": 3, "deletedBy": 4}
    assert (told["ruleId"], told["message"]) == (RULE.id, {"text": "looks so"})

    told = result(LintFinding(OTHER, "there is none", place="config.User"))
    assert told["locations"] == [
        {
            "physicalLocation": {"artifactLocation": {"uri": "a%20b.tar"}},
            "logicalLocations": [{"fullyQualifiedName": "config.User"}],
        }
    ]
    assert told["properties"] == {}


def test_a_fingerprint_does_not_depend_on_layers_and_lines() -> None:
    """So that an alert stays the same one; what it says and where count."""
    known = LintFinding(RULE, "m", b"p", 0, None, 1, "x")
    same = [LintFinding(RULE, "m", b"p", 5, 6, 9, "x")]
    others = [
        LintFinding(OTHER, "m", b"p", 0, None, 1, "x"),
        LintFinding(RULE, "n", b"p", 0, None, 1, "x"),
        LintFinding(RULE, "m", b"q", 0, None, 1, "x"),
        LintFinding(RULE, "m", b"p", 0, None, 1, "y"),
    ]
    prints = [result(one)["partialFingerprints"] for one in (known, *same, *others)]
    names = ["primaryLocationLineHash", "imgpackFinding/v1"]
    assert all(isinstance(one, dict) and list(one) == names for one in prints)
    assert prints[0] == prints[1]
    assert len({str(one) for one in prints}) == 5


def test_what_was_not_looked_at_and_what_is_left_out_are_notified() -> None:
    """A run that ended well says so all the same."""
    (run,) = lint_sarif(Linted((), ((RULE, 5),), 1, ("the user",)), "x", "1.2")["runs"]
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is True
    assert [(one["level"], one["message"]["text"]) for one in
            invocation["toolExecutionNotifications"]] == [
        ("warning", "not checked: the user"),
        ("warning", "5 more findings of secret-file are left out"),
    ]  # fmt: skip
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("imgpack", "1.2")
    levels = {one["id"]: one["defaultConfiguration"]["level"] for one in driver["rules"]}
    assert list(levels) == list(RULES)
    assert {"error", "warning", "note"} == set(levels.values())
