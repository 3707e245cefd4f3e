"""Every command that looks at an image, on artifacts and on images that act on terminals."""

import json
import re
import unicodedata

import pytest

from imgpack.cli.commands.inspect import inspect
from imgpack.cli.main import COMMANDS
from tests.cli.strange_images import EVIL, EVIL_ERRORS, PLAIN, STRANGE, Layout, evil_image
from tests.cli_runner import InProcess, Outcome

NEVER = frozenset({1, 2, 3, 4, 24, 26, 27, 70})
"""Codes of an unknown cause, of the command line, of sources, of machines: nothing of an image."""
ANSWERS = frozenset({"diff", "verify", "lint"})
"""Commands whose answer may be a code without an error: they differ, or something is wrong."""
LINES = [
    "inspect IMAGE",
    "inspect --json IMAGE",
    "inspect --html out.html IMAGE",
    "digest IMAGE",
    "ls IMAGE",
    "ls -lR IMAGE",
    "ls -R --json IMAGE",
    "cat IMAGE nothing",
    "history IMAGE",
    "history --no-trunc IMAGE",
    "history --json IMAGE",
    "du IMAGE",
    "du --depth 9 --json IMAGE",
    "diff IMAGE IMAGE",
    "diff IMAGE plain",
    "diff --text plain IMAGE",
    "diff --json IMAGE plain",
    "extract IMAGE out",
    "export IMAGE -o out.tar",
    "export IMAGE /etc -o out.tar.gz",
    "verify IMAGE",
    "verify --json IMAGE",
    "lint IMAGE",
    "lint --json IMAGE",
    "flatten IMAGE -o out.tar",
    "annotate IMAGE --annotation a=b -o out.tar",
    "config IMAGE --label a=b -o out.tar",
    "recompress IMAGE --compression none -o out.tar",
    "append IMAGE plain.tar -o out.tar",
    "copy IMAGE out.tar",
]


def known(line: str) -> bool:
    """Whether there is the command, and in ``inspect`` the option."""
    options = {option for parameter in inspect.params for option in parameter.opts}
    return line.split()[0] in COMMANDS and ("--html" not in line or "--html" in options)


KNOWN = [line for line in LINES if known(line)]


@pytest.fixture
def strange(imgpack_here: InProcess) -> InProcess:
    """A directory with an ordinary image, called ``plain``, and a layer."""
    layout = Layout(imgpack_here.directory / "plain")
    layout.finish(layout.image(PLAIN))
    (imgpack_here.directory / "plain.tar").write_bytes(PLAIN)
    return imgpack_here


def ran(imgpack: InProcess, line: str) -> Outcome:
    """The outcome of a line, which fits its command, or the command has to have other words."""
    outcome = imgpack(*line.replace("IMAGE", "strange").split())
    assert "Traceback" not in outcome.err, outcome.err
    assert not unprintable(outcome.out.decode()), outcome.out
    assert not unprintable(outcome.err), repr(outcome.err)
    command = line.split()[0]
    if command in ANSWERS and outcome.code and not outcome.err:
        return outcome
    assert outcome.code not in NEVER, (outcome.code, outcome.err)
    if outcome.code:
        outcome.failed(outcome.code)
    return outcome


def unprintable(text: str) -> set[str]:
    """What of a text may act on a terminal, or show it other than it is."""
    return {
        char for char in text if char != "\n" and unicodedata.category(char) in ("Cc", "Cf", "Cs")
    } | set(re.findall("[\u2028\u2029]", text))


@pytest.mark.parametrize("line", KNOWN)
@pytest.mark.parametrize("what", STRANGE)
def test_what_is_no_ordinary_image_is_shown_or_refused(
    strange: InProcess, what: str, line: str
) -> None:
    """With one line that says what it is, and the code of that cause."""
    layout = Layout(strange.directory / "strange")
    layout.finish(STRANGE[what](layout))

    ran(strange, line)


@pytest.mark.parametrize("line", KNOWN)
def test_nothing_of_an_image_acts_on_the_terminal(strange: InProcess, line: str) -> None:
    """Neither names nor labels, history, attributes, targets or what the image is called."""
    layout = Layout(strange.directory / "strange")
    layout.finish(evil_image(layout), EVIL)

    ran(strange, line)


@pytest.mark.parametrize("line", KNOWN)
@pytest.mark.parametrize("what", EVIL_ERRORS)
def test_no_error_acts_on_the_terminal(strange: InProcess, what: str, line: str) -> None:
    """Whatever of an image it quotes."""
    layout = Layout(strange.directory / "strange")
    layout.finish(EVIL_ERRORS[what](layout))

    ran(strange, line)


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ("an artifact", "is an artifact"),
        ("a chart", "is an artifact"),
        ("an attestation", "application/vnd.in-toto+json"),
        ("a signature", "application/vnd.dev.cosign.simplesigning.v1+json"),
        ("a layer of an unknown type", "application/vnd.example.strange+squashfs"),
        ("an index of nothing", "is an index that holds no image"),
    ],
)
def test_what_has_no_files_is_called_what_it_is(strange: InProcess, what: str, kind: str) -> None:
    """And not a damaged archive."""
    layout = Layout(strange.directory / "strange")
    layout.finish(STRANGE[what](layout))

    assert kind in ran(strange, "ls IMAGE").failed(9)


@pytest.mark.parametrize(
    "line",
    [
        "config IMAGE --label a=b -o out.tar",
        "annotate IMAGE --annotation a=b -o out.tar",
        "append IMAGE more -o out.tar",
        "recompress IMAGE --compression gzip -o out.tar",
        "flatten IMAGE -o out.tar",
    ],
)
def test_an_attestation_is_none_of_the_images_of_an_index(strange: InProcess, line: str) -> None:
    """It has the documents of one; nobody attested what is made of the image it is about."""
    layout = Layout(strange.directory / "strange")
    layout.finish(STRANGE["an index with an attestation"](layout))
    (strange.directory / "more").mkdir()
    (strange.directory / "more" / "file").touch()

    outcome = ran(strange, line)

    outcome.ok()
    assert "1 attestations or artifacts of the index" in outcome.err
    (made,) = json.loads(strange("inspect", "--json", "out.tar").ok())["images"]
    assert [one["platform"]["os"] for one in made["images"]] == ["linux"]


def test_an_attestation_is_shown_as_what_it_is(strange: InProcess) -> None:
    """And goes with its image, byte for byte."""
    layout = Layout(strange.directory / "strange")
    layout.finish(STRANGE["an index with an attestation"](layout))

    assert "Artifact     application/vnd.in-toto+json" in ran(strange, "inspect IMAGE").out.decode()
    ran(strange, "copy IMAGE out.tar").ok()
    assert ran(strange, "digest IMAGE").out == strange("digest", "out.tar").ok()
    assert b"attestation  sha256:" in strange("verify", "out.tar").ok()


def test_a_step_whose_layer_is_none_of_files_is_called_what_it_is(strange: InProcess) -> None:
    """In the history, which reads no layer."""
    layout = Layout(strange.directory / "strange")
    layout.finish(STRANGE["a signature"](layout))

    out = ran(strange, "history --no-trunc IMAGE").out.decode()

    assert "no layer of files: application/vnd.dev.cosign.simplesigning.v1+json" in out


@pytest.mark.parametrize(
    "line", ["ls IMAGE", "flatten IMAGE -o out.tar", "append IMAGE etc -o out.tar"]
)
def test_a_layer_that_is_not_there_is_named_once(strange: InProcess, line: str) -> None:
    """And the image as well."""
    (strange.directory / "etc").mkdir()
    layout = Layout(strange.directory / "strange")
    layout.finish(STRANGE["a layer that lies elsewhere"](layout))

    error = strange(*line.replace("IMAGE", "strange").split()).err

    assert error.count("sha256:") == error.count("strange") == 1
    assert "is kept elsewhere" in error
