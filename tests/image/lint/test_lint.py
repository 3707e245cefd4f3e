"""What is found in the files and the configuration of images, and how it is told."""

import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgpack.api import (
    Annotations,
    Image,
    LintIgnore,
    LintLevel,
    Named,
    annotated,
    directory,
    lint,
)
from imgpack.errors import ConfigError, NotFoundError
from imgpack.image.files.files import ImageFiles, image_contents
from imgpack.image.lint import contents
from imgpack.image.lint import findings as findings_module
from imgpack.image.lint.rules import RULES
from imgpack.tree.tables.applied import LayerRow, RowContent
from tests.image.lint.images import GITHUB, KEY, found, image, layer, link, linted, member

DIRECTORY = tarfile.DIRTYPE


def rules(*others: tarfile.TarInfo, **files: bytes | tuple[bytes, int]) -> list[str]:
    """The rules that find something in an image of these files."""
    return [rule for rule, _ in found(image([layer(files, *others)]))]


def test_permissions_for_everybody_are_found() -> None:
    """But not on a directory that is sticky, nor on a link."""
    assert found(
        image([
            layer(
                {"open": (b"", 0o666), "d/fine": b""},
                member("d", DIRECTORY, 0o777),
                member("tmp", DIRECTORY, 0o1777),
                link("l", "open"),
            )
        ])
    ) == [("world-writable-directory", b"d"), ("world-writable-file", b"open")]  # fmt: skip


def test_a_program_that_changes_its_user_is_found() -> None:
    """If it can be executed; on a directory the bit means something else."""
    assert rules(su=(b"", 0o4755)) == rules(su=(b"", 0o2755)) == ["set-id-program"]
    assert rules(member("d", DIRECTORY, 0o2755), su=(b"", 0o4644)) == []
    for mode, said in ((0o4755, "/su runs as the user 0"), (0o2755, "/su runs as the group 0")):
        told = linted(image([layer({"su": (b"", mode)})]), "user-root", "command-missing")
        assert [one.message for one in told.findings] == [said]


def test_what_engines_refuse_is_found() -> None:
    """Names, owners and devices."""
    owned = member("owned", tarfile.REGTYPE)
    owned.uid = 65536
    assert rules(owned) == ["uid-too-large"]
    assert rules(member("null", tarfile.CHRTYPE)) == ["device-file"]
    assert rules(**{"/".join(["d" * 203] * 20): b""}) == []
    assert rules(**{"/".join(["d" * 203] * 20) + "/" + "x" * 20: b""}) == ["path-too-long"]
    again = member("twice", tarfile.REGTYPE)
    assert rules(again, twice=b"") == ["duplicate-path"]


def test_a_hard_link_into_a_lower_layer_is_found() -> None:
    """One within the layer is fine."""
    hard = member("two", tarfile.LNKTYPE, link="one")
    assert rules(hard, one=b"1") == []
    assert found(image([layer({"one": b"1"}), layer({}, hard)])) == [
        ("hard-link-to-lower-layer", b"two")
    ]


@pytest.mark.parametrize(
    "path",
    ["app/.env", "id_rsa", "root/.docker/config.json", "home/u/.aws/credentials", "a/kubeconfig"],
)
def test_files_that_are_secret_by_name_are_found(path: str) -> None:
    """Unless a package has them."""
    assert rules(**{path: b""}) == ["secret-file"]
    assert rules(**{f"usr/share/x/{path}": b"", f"app/node_modules/x/{path}": b""}) == []


def test_a_secret_that_a_higher_layer_deletes_is_still_found() -> None:
    """By its name, and by what it says; and it is told by which layer."""
    one = image([
        layer({"app/.env": f"A=1\nTOKEN={GITHUB}\n".encode(), "app/k": KEY, "app/n": b""}),
        layer({"app/.wh..env": b"", "app/k": b"nothing is in here any more"}),
    ])  # fmt: skip
    told = linted(one, "user-root", "command-missing").findings

    assert [(f.rule.id, f.path, f.layer, f.deleted_by, f.line) for f in told] == [
        ("secret-content", b"app/.env", 0, 1, 2),
        ("secret-content", b"app/k", 0, 1, 1),
        ("secret-file", b"app/.env", 0, 1, 0),
    ]
    assert told[0].message == "a token of GitHub: ghp_… (40 characters)"


def test_a_directory_that_is_replaced_hides_what_was_in_it() -> None:
    """By a file, or because it is opaque."""
    low = layer({"app/d/k": KEY})
    for high in (layer({"app": b""}), layer({"app/.wh..wh..opq": b""}), layer({"app/.wh.d": b""})):
        (told,) = linted(image([low, high]), "user-root", "command-missing").findings
        assert (told.path, told.layer, told.deleted_by) == (b"app/d/k", 0, 1)
    (told,) = linted(image([low, layer({"app/d/x": b""})]), "user-root", "command-missing").findings
    assert told.deleted_by is None


def test_however_many_secrets_there_are_who_hides_them_is_asked_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thousand are told, with the layer that hides each, and the others are counted."""
    passes: list[ImageFiles] = []
    laid = ImageFiles.laid

    def counted(files: ImageFiles) -> Iterator[LayerRow]:
        passes.append(files)
        return laid(files)

    monkeypatch.setattr(ImageFiles, "laid", counted)
    low = layer({f"d/{number:04}": KEY for number in range(1010)})
    told = linted(image([low, layer({".wh.d": b""})]), "user-root", "command-missing")
    assert {(f.rule.id, f.layer, f.deleted_by) for f in told.findings} == {("secret-content", 0, 1)}
    assert (len(told.findings), {r.id: n for r, n in told.more}) == (
        1000, {"secret-content": 10},
    )  # fmt: skip
    assert len(passes) == 2


def test_only_the_beginning_of_texts_is_read() -> None:
    """Nothing is told of what is large or binary."""
    padding = b"a line\n" * 10_000
    assert rules(text=KEY) == ["secret-content"]
    assert rules(text=padding + KEY) == []
    assert rules(text=KEY + b"x" * (1 << 20)) == []
    assert rules(text=b"\0" + KEY) == []


def test_the_rest_of_a_text_is_not_asked_for() -> None:
    """However it comes."""
    pieces = iter([b"a" * 60_000, b"b" * 60_000, b"c"])
    assert contents._beginning(pieces) == b"a" * 60_000 + b"b" * ((64 << 10) - 60_000)
    assert list(pieces) == [b"c"]
    assert contents._beginning(iter([b"a", b"b"])) == b"ab"


def test_secrets_of_the_configuration_are_found_and_never_shown() -> None:
    """In variables, labels, commands and history."""
    config = {
        "Env": ["DB_PASSWORD=correct horse", f"X={GITHUB}", "NOTHING"],
        "Labels": {"source": "https://me:correcthorse@host/x"},
    }
    one = image([layer({})], config, history=[f"RUN curl -H {GITHUB}", "RUN make"])
    told = linted(one, "user-root", "command-missing")

    assert [(f.rule.id, f.place) for f in told.findings] == [
        ("secret-in-environment", "config.Env[0]"),
        ("secret-in-environment", "config.Env[1]"),
        ("secret-in-history", "history[0]"),
        ("secret-in-label", "config.Labels[source]"),
        ("environment-malformed", "config.Env[2]"),
    ]
    text = str(told.as_json())
    assert GITHUB[5:] not in text
    assert "horse" not in text


def test_a_name_may_be_a_secret_itself() -> None:
    """It is found, and not shown either."""
    told = linted(
        image([layer({})], {"Env": [f"{GITHUB}={GITHUB}"], "Labels": {GITHUB: "x"}}),
        "user-root", "command-missing",
    )  # fmt: skip
    place = "config.Labels[ghp_… (40 characters)]"
    assert ("secret-in-label", place) in [(one.rule.id, one.place) for one in told.findings]
    assert GITHUB[5:] not in str(told.as_json())


@pytest.mark.parametrize(
    "text",
    [
        "PASSWORD=", "USE_TOKEN=true", "DB_PASSWORD_FILE=/run/secrets/db", "TOKEN=/run/token",
        "API_KEY=$OTHER", "GPG_KEY=A035C8C19219BA821ECEA86B64E628F8D684696D", "MAX_TOKENS=100",
        "SECRET=************", "TOKEN_URL=https://host/token",
    ],
)  # fmt: skip
def test_variables_that_are_no_secrets_are_not_told(text: str) -> None:
    """Switches, paths, references to others, keys that are public."""
    assert found(image([layer({})], {"Env": [text]})) == []


def test_the_user_has_to_be_there() -> None:
    """If it is a name, and its group too; root is only remarked."""
    accounts = layer({"etc/passwd": b"u:x:5:5::/:\n", "etc/group": b"g:x:5:\n"})
    for user, rule in (
        ("u:g", []),
        ("5:5", []),
        ("v", ["user-unknown"]),
        ("u:h", ["user-unknown"]),
    ):
        assert [one for one, _ in found(image([accounts], {"User": user}))] == rule
    for user in ("", "0", "root:root"):
        told = linted(
            image(
                [layer({"etc/passwd": b"root:x:0:0::/:\n", "etc/group": b"root:x:0:\n"})],
                {"User": user},
            )
        ).findings
        assert "user-root" in [one.rule.id for one in told]


def test_an_account_without_a_password_is_found() -> None:
    """Not one that is locked."""
    assert rules(**{"etc/shadow": b"root:*:1::::::\nme::1::::::\nyou:!:1::::::\n"}) == [
        "empty-password"
    ]
    passwd = b"root:x:0:0::/:\nme::1:1::/:\n"
    assert found(image([layer({"etc/passwd": passwd})])) == [("empty-password", b"etc/passwd")]


def test_an_account_of_a_tree_on_disk_is_looked_at_too(tmp_path: Path) -> None:
    """In both files, links followed within the tree."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/:\nme::1:1::/:\n")
    (tmp_path / "etc/real").write_text("you::1::::::\n")
    (tmp_path / "etc/shadow").symlink_to("/etc/real")
    told = lint(directory(os.fsencode(tmp_path))).findings
    assert [(one.rule.id, one.path, one.line) for one in told] == [
        ("empty-password", b"etc/passwd", 2),
        ("empty-password", b"etc/shadow", 1),
    ]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("docker.io/library/alpine:latest", ["base-latest"]),
        ("alpine", ["base-latest"]),
        ("alpine:3", []),
        (f"alpine:latest@sha256:{'a' * 64}", []),
        ("NO NAME", []),
    ],
)
def test_a_base_that_is_called_latest_is_found(name: str, told: list[str]) -> None:
    """By its tag, or without one; not if it is pinned."""
    plain = image([layer({})])
    annotations = Annotations.parse([f"org.opencontainers.image.base.name={name}"])
    made = annotated(Named(plain), annotations).image
    assert isinstance(made, Image)
    assert [rule for rule, _ in found(made)] == told


def test_a_cache_of_packages_is_told_once() -> None:
    """However many files it has."""
    files = {"var/lib/apt/lists/a": b"a", "var/lib/apt/lists/b": b"b", "var/cache/apk/x": b""}
    assert found(image([layer(files)])) == [("package-cache", b"var/lib/apt/lists")]


def test_what_is_ignored_is_only_counted() -> None:
    """All of a rule, or at paths; a directory covers what is in it."""
    one = image([layer({"a/b/x": (b"", 0o666), "c/x": (b"", 0o666)})])
    here = "user-root", "command-missing"
    assert len(linted(one, *here).findings) == 2
    for ignored, left in (
        ("world-writable-file", []), ("world-writable-file:a", [b"c/x"]),
        ("world-writable-file:**/x", []), ("world-writable-file:/c/*", [b"a/b/x"]),
        ("set-id-program", [b"a/b/x", b"c/x"]),
    ):  # fmt: skip
        told = linted(one, *here, ignored)
        assert [each.path for each in told.findings] == left
        assert told.ignored == 2 + 2 - len(left)


@pytest.mark.parametrize("text", ["no-such-rule", "", "secret-file:[", "secret-file:/", ":x"])
def test_a_rule_that_is_none_cannot_be_ignored(text: str) -> None:
    """Nor a pattern."""
    with pytest.raises(ConfigError):
        LintIgnore.parse(text)


def test_of_a_rule_that_finds_very_much_the_rest_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that memory does not depend on the image."""
    monkeypatch.setattr(findings_module, "MOST_TOLD", 2)
    told = linted(image([layer({f"{n}": (b"", 0o666) for n in range(5)})]))
    assert told.more == ((RULES["world-writable-file"], 3),)
    assert told.count(LintLevel.WARNING) == 6, "and that there is no command"
    assert told.fails(LintLevel.WARNING)
    assert not told.fails(LintLevel.ERROR)


def test_what_cannot_be_read_is_said_to_be_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the layers of a lock; all else is."""

    def absent(*_: object) -> None:
        raise NotFoundError("not here")

    one = image([layer({"app": (b"x" * 50, 0o755), "f": (b"", 0o666)})], {"Cmd": ["/app"]})
    files = image_contents(one, "here", tempfile.gettempdir)
    monkeypatch.setattr(ImageFiles, "contents", absent)
    told = lint(files)
    assert [each.rule.id for each in told.findings] == ["world-writable-file", "user-root"]
    assert len(told.unchecked) == 2


def test_of_a_tree_on_disk_the_files_are_checked(tmp_path: Path) -> None:
    """It has no configuration."""
    (tmp_path / "k").write_bytes(KEY)
    (tmp_path / ".env").write_bytes(b"")
    (tmp_path / "k").chmod(0o606)
    told = lint(directory(os.fsencode(tmp_path))).findings
    assert [(each.rule.id, each.path, each.layer) for each in told] == [
        ("secret-content", b"k", None),
        ("secret-file", b".env", None),
        ("world-writable-file", b"k", None),
    ]


def test_a_rule_that_is_misspelt_is_told_which_was_meant() -> None:
    """If one is near; else all there are."""
    with pytest.raises(ConfigError, match=r"did you mean secret-content\?"):
        LintIgnore.parse("secret-contents")
    with pytest.raises(ConfigError, match=r"the rules are: .*user-root"):
        LintIgnore.parse("xyz")


def test_numbers_that_fit_are_not_told() -> None:
    """An owner with the largest number of 16 bits."""
    owned = member("owned", tarfile.REGTYPE)
    owned.uid = owned.gid = 65535
    assert rules(owned) == []
    owned.uid, owned.gid = 0, 65536
    assert rules(owned) == ["uid-too-large"]


def test_the_shortest_secret_is_found() -> None:
    """A file that holds nothing else; a text behind the first MiB is not looked at."""
    assert rules(k=b"AKIA" + b"Q2W3E4R5T6Y7U2IA") == ["secret-content"]
    for front, told in ((b"", ["secret-in-history"]), (b"x " * (1 << 19), [])):
        one = image([layer({})], history=[front.decode() + GITHUB])
        assert [rule for rule, _ in found(one)] == told


def test_accounts_that_cannot_be_read_are_said_to_be_not_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither the user nor passwords; no user is called unknown for it."""

    def absent(*_: object) -> None:
        raise NotFoundError("not here")

    one = image([layer({"etc/passwd": b"u::5:5::/:\n"})], {"User": "v", "Cmd": ["/x"]})
    files = image_contents(one, "here", tempfile.gettempdir)
    monkeypatch.setattr(RowContent, "open", absent)
    told = lint(files, ignore=[LintIgnore.parse("secret-content")])
    assert [each.rule.id for each in told.findings] == ["entrypoint-missing"]
    assert told.unchecked == (
        "the user: the accounts are not at hand",
        "passwords: the accounts are not at hand",
    )
