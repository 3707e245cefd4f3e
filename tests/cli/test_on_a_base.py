"""``imgpack build --from``: what the command says of a base's configuration, and makes of it."""

from pathlib import Path

import pytest

from imgpack import api
from tests.cli_runner import InProcess
from tests.store.samples import only_image

ON_BASE = ("build", "--from", "base.tar", "-o", "x.tar", "-t", "x:1")


@pytest.fixture
def base(imgpack_here: InProcess, tmp_path: Path) -> InProcess:
    """The command, in a directory with an archive of a base."""
    (tmp_path / "root" / "etc").mkdir(parents=True)
    (tmp_path / "root" / "etc" / "passwd").write_text("app:x:5:6::/:/bin/sh\n")
    imgpack_here(
        *("build", "root", "-o", "base.tar", "-t", "base:1", "--created", "2020-01-02T03:04:05Z"),
        *("-e", "LANG=C", "--entrypoint", "/init", "--cmd", "serve", "--workdir", "/srv"),
        *("--onbuild", "RUN make"),
    ).ok()
    return imgpack_here


def image(path: Path) -> api.Image:
    """The image in the archive."""
    with api.open(str(path)) as opened:
        return only_image(opened)


def test_the_configuration_alone_is_changed(base: InProcess, tmp_path: Path) -> None:
    """The layers are the base's; what went unasked for is said."""
    done = base(
        *(*ON_BASE, "--ignore-onbuild", "--entrypoint", "/x", "--workdir", "sub"),
        *("--user", "app", "-e", "L=${LANG}x$NONE", "--unset-env", "LANG", "--unset-label", "none"),
    )
    done.ok()
    warnings = [line for line in done.err.splitlines() if "warning: " in line]
    assert [line.partition("warning: ")[2] for line in warnings] == [
        'the base\'s CMD ["serve"] is dropped: an entrypoint is given',
        "NONE in the value of L is not set: it is empty",
        "the base has no LABEL none to unset",
        "the program '/x' is not in the image",
    ]
    before, after = image(tmp_path / "base.tar"), image(tmp_path / "x.tar")
    assert after.config.config == {
        "Env": ["L=Cx"],
        "Entrypoint": ["/x"],
        "WorkingDir": "/srv/sub",
        "User": "app",
    }
    assert after.manifest.layers == before.manifest.layers
    assert after.config.history[: len(before.config.history)] == before.config.history
    assert after.config.created == "2020-01-02T03:04:05Z"


def test_triggers_are_refused_with_the_way_out(base: InProcess, tmp_path: Path) -> None:
    """By name; nothing is written."""
    line = base(*ON_BASE).failed(9)
    assert "ONBUILD triggers, which nothing here can run: RUN make" in line
    assert line.endswith("; --ignore-onbuild drops them")
    assert not (tmp_path / "x.tar").exists()


@pytest.mark.parametrize(
    ("options", "code", "problem"),
    [
        (("--user", "web"), 7, "the user 'web' is not in /etc/passwd of the image"),
        (("--user", "app:web"), 7, "the group 'web' is not in /etc/group of the image"),
        (("--user", "app", "--clear-user"), 2, "--clear-user and --user contradict each other"),
        (("-e", "A=${LANG%x}"), 7, "the value of A: LANG has something behind it"),
        (("-e", "A=1", "--unset-env", "A"), 7, "ENV A is both set and unset"),
    ],
)
def test_what_cannot_be_done_is_refused(
    base: InProcess, tmp_path: Path, options: tuple[str, ...], code: int, problem: str
) -> None:
    """With one line, and nothing is written."""
    assert problem in base(*ON_BASE, "--ignore-onbuild", *options).failed(code)
    assert not (tmp_path / "x.tar").exists()


@pytest.mark.parametrize("scratch", [(), ("--from", "scratch")])
def test_without_a_base_nothing_is_taken_or_expanded(
    base: InProcess, tmp_path: Path, scratch: tuple[str, ...]
) -> None:
    """A value is what it says, and there is nothing to unset."""
    build = ("build", "root", *scratch, "-o", "x.tar")
    base(*build, "-e", "A=$LANG").ok()
    assert image(tmp_path / "x.tar").config.config == {"Env": ["A=$LANG"]}
    assert "--clear-cmd is about a base image" in base(*build, "--clear-cmd").failed(2)
    assert "--workdir 'sub' is not an absolute path" in base(*build, "--workdir", "sub").failed(7)
