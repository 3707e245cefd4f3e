"""A git repository is read without git, and a hostile one harms nothing."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.project.git import Checkout, find_checkout, plain_url
from tests.privileges import IS_ROOT

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = COMMIT[::-1]


def repository(top: Path, head: str = "ref: refs/heads/main\n", config: str = "") -> Path:
    """A repository at ``top`` without any object; its ``.git``."""
    git = top / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text(head)
    (git / "config").write_text(config)
    return git


def origin(url: str) -> str:
    """A configuration with ``url`` as origin."""
    return (
        '[core]\n\tbare = false\n[remote "other"]\n\turl = https://x/y\n'
        f'[remote "origin"]\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n\turl = {url}\n'
    )


def test_the_commit_is_that_of_the_branch(tmp_path: Path) -> None:
    """Of a file of its own before a packed one, from any directory below."""
    git = repository(tmp_path)
    (git / "packed-refs").write_text(f"# pack-refs\n{OTHER} refs/heads/main\n^{COMMIT}\n")
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert find_checkout(str(tmp_path / "a" / "b")) == Checkout(str(tmp_path), OTHER, None)
    (git / "refs" / "heads" / "main").write_text(f"{COMMIT}\n")
    assert find_checkout(str(tmp_path)) == Checkout(str(tmp_path), COMMIT, None)


def test_a_detached_head_names_the_commit(tmp_path: Path) -> None:
    """As CI checks out, with SHA-1 and with SHA-256."""
    for number, commit in enumerate((COMMIT, COMMIT + OTHER[:24])):
        top = tmp_path / str(number)
        repository(top, f"{commit}\n")
        found = find_checkout(str(top))
        assert found is not None
        assert found.revision == commit


def test_a_worktree_has_a_head_of_its_own_and_shares_the_rest(tmp_path: Path) -> None:
    """Its ``.git`` is a file, and so is that of a submodule."""
    git = repository(tmp_path / "main", config=origin("https://example.org/a/b.git"))
    (git / "refs" / "heads" / "side").write_text(COMMIT)
    own = git / "worktrees" / "side"
    own.mkdir(parents=True)
    (own / "HEAD").write_text("ref: refs/heads/side\n")
    (own / "commondir").write_text("../..\n")
    tree = tmp_path / "side"
    tree.mkdir()
    (tree / ".git").write_text("gitdir: ../main/.git/worktrees/side\n")
    assert find_checkout(str(tree)) == Checkout(str(tree), COMMIT, "https://example.org/a/b")


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/o/r",
        "https://github.com/o/r.git",
        "https://me:hunter2@GitHub.com/o/r.git",
        "https://ghp_token@github.com/o/r/",
        "git@github.com:o/r.git",
        "ssh://git@github.com:22/o/r.git",
        "git://github.com/o/r.git",
        "https://github.com/o/r.git?access_token=hunter2#x",
    ],
)
def test_a_clone_is_from_the_same_place_however_it_was_made(tmp_path: Path, url: str) -> None:
    """No user, password or token is in it."""
    repository(tmp_path, config=origin(url))
    found = find_checkout(str(tmp_path))
    assert found is not None
    assert found.origin == "https://github.com/o/r"


@pytest.mark.parametrize(
    "url",
    ["/srv/git/r.git", "../r", "file:///srv/r", "C:\\r", "https://", "https:///r", "ext::sh -c id",
     "https://[::1/r", "https://host:port/r", "https://host/a b", "https://host/\x1b[31m", "",
     "https://user:pass@/x", "http:/x", "data:text/plain,x"],
)  # fmt: skip
def test_what_is_no_address_of_a_server_is_none(url: str) -> None:
    """A path says something of this machine only."""
    assert plain_url(url) is None


@given(st.text(max_size=40), st.text(alphabet="sekrit", min_size=8, max_size=12))
def test_no_password_is_ever_left(path: str, secret: str) -> None:
    """Wherever the parser takes the address apart."""
    for text in (f"https://u:{secret}@h.org/{path}", f"ssh://{secret}@h.org/{path}"):
        found = plain_url(text)
        assert found is None or secret not in found.replace(path, "")


def test_an_address_with_a_port_keeps_it_if_it_is_the_web_s() -> None:
    """That of ssh is not where a browser looks."""
    assert plain_url("https://h.org:8443/o/r.git") == "https://h.org:8443/o/r"
    assert plain_url("https://h.org:443/o/r") == plain_url("http://h.org:80/o/r.git")
    assert plain_url("http://h.org:80/o/r") == "https://h.org/o/r"
    assert plain_url("ssh://git@h.org:2222/o/r.git") == "https://h.org/o/r"


@pytest.mark.parametrize(
    "head",
    ["ref: refs/../../../etc/passwd", "ref: /etc/passwd", "ref: ../x", "ref: refs/heads/a/../b",
     "ref: refs//x", "x", "", "\0", "ref: refs/heads/main", COMMIT[:-1], COMMIT.upper()],
)  # fmt: skip
def test_a_hostile_head_names_no_commit(tmp_path: Path, head: str) -> None:
    """Nothing outside of the repository is read for it."""
    repository(tmp_path, head)
    assert find_checkout(str(tmp_path)) == Checkout(str(tmp_path))


def test_refs_that_go_round_end(tmp_path: Path) -> None:
    """As those of no commit."""
    git = repository(tmp_path)
    (git / "refs" / "heads" / "main").write_text("ref: refs/heads/main\n")
    assert find_checkout(str(tmp_path)) == Checkout(str(tmp_path))


def test_what_is_no_small_regular_file_is_not_read(tmp_path: Path) -> None:
    """Links, pipes and endless files stand for nothing, and keep nobody waiting."""
    git = repository(tmp_path)
    (tmp_path / "secret").write_text(COMMIT)
    (git / "refs" / "heads" / "main").symlink_to(tmp_path / "secret")
    (git / "config").unlink()
    os.mkfifo(git / "config")
    assert find_checkout(str(tmp_path)) == Checkout(str(tmp_path))
    (git / "HEAD").write_text("x" * 5000)
    assert find_checkout(str(tmp_path)) is None


@pytest.mark.skipif(not IS_ROOT, reason="only root gives files away")
def test_a_repository_of_somebody_else_is_not_believed(tmp_path: Path) -> None:
    """Root's is, and that of the directory's owner; nor is one above it looked for."""
    git = repository(tmp_path, COMMIT)
    inner = tmp_path / "inner"
    inner.mkdir()
    repository(inner, OTHER)
    for owner, of_git, believed in ((0, 1234, False), (1234, 1234, True), (1234, 0, True)):
        os.chown(inner, owner, -1)
        os.chown(inner / ".git", of_git, -1)
        assert find_checkout(str(inner)) == (Checkout(str(inner), OTHER) if believed else None), (
            owner,
            of_git,
        )
    assert find_checkout(str(git.parent)) == Checkout(str(tmp_path), COMMIT)


@pytest.mark.parametrize(
    ("name", "most", "found"),
    [("HEAD", 1 << 12, None), ("config", 1 << 20, Checkout("", COMMIT, None)),
     ("packed-refs", 1 << 25, Checkout("", None, "https://example.org/a/b"))],
)  # fmt: skip
def test_a_file_is_read_up_to_a_bound(
    tmp_path: Path, name: str, most: int, found: Checkout | None
) -> None:
    """One byte more, and it says nothing."""
    git = repository(tmp_path, config=origin("https://example.org/a/b"))
    (git / "packed-refs").write_text(f"{COMMIT} refs/heads/main\n")
    (git / name).write_bytes((git / name).read_bytes().ljust(most))
    whole = find_checkout(str(tmp_path))
    with (git / name).open("ab") as file:
        file.write(b" ")
    assert whole == Checkout(str(tmp_path), COMMIT, "https://example.org/a/b")
    assert find_checkout(str(tmp_path)) == (found and replace(found, top=str(tmp_path)))


def test_a_git_file_that_names_nothing_is_no_repository(tmp_path: Path) -> None:
    """Nor is one that goes in circles."""
    inner = tmp_path / "a"
    inner.mkdir()
    for text in ("gitdir: /nowhere", "gitdir: .git", "nonsense", "gitdir:", "\xff" * 10):
        (inner / ".git").write_text(text, "latin-1")
        found = find_checkout(str(inner))
        assert found is None or found.revision is None
