"""Credential files and helpers: order, keys, helpers, broken ones, storing and forgetting."""

import base64
import fcntl
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imgpack.credentials.config_file import (
    choose_file,
    erase_credential,
    store_credential,
)
from imgpack.credentials.lookup import (
    Credential,
    CredentialFile,
    CredentialStore,
    Given,
    normalise_key,
    server_host,
)
from imgpack.credentials.program import ANSWER_LIMIT
from imgpack.errors import CredentialError, InvalidReferenceError

HUB = "https://index.docker.io/v1/"


def auth(user: str, password: str) -> dict[str, str]:
    """An entry of ``auths``."""
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def write(path: Path, document: Any) -> CredentialFile:
    """A credential file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return CredentialFile(str(path))


def found(document: Any, tmp_path: Path, registry: str, repository: str = "") -> Credential | None:
    """What a store over one file finds."""
    source = write(tmp_path / "config.json", document)
    return CredentialStore((source,), search_path=str(tmp_path / "bin")).find(registry, repository)


HELPER = """#!{python}
import json, os, sys
place = os.path.join(os.path.dirname(__file__), {name!r} + ".json")
known = json.load(open(place)) if os.path.exists(place) else {{}}
verb, text = sys.argv[1], sys.stdin.read()
open(place + ".log", "a").write(verb + " " + text + "\\n")
if verb == "get":
    if text not in known:
        print("credentials not found in native keychain")
        sys.exit(1)
    print(json.dumps(known[text]))
elif verb == "store":
    document = json.loads(text)
    known[document["ServerURL"]] = document
elif verb == "erase":
    del known[text]
json.dump(known, open(place, "w"))
"""


def install(tmp_path: Path, name: str, script: str = HELPER, **known: tuple[str, str]) -> Path:
    """A helper program that remembers in a file; returns that file."""
    directory = tmp_path / "bin"
    directory.mkdir(exist_ok=True)
    program = directory / f"docker-credential-{name}"
    program.write_text(script.format(python=sys.executable, name=name))
    program.chmod(0o755)
    memory = directory / f"{name}.json"
    entries = {
        server: {"ServerURL": server, "Username": user, "Secret": secret}
        for server, (user, secret) in known.items()
    }
    memory.write_text(json.dumps(entries))
    return memory


@pytest.mark.parametrize(
    ("key", "normal"),
    [
        (HUB, "docker.io"),
        ("index.docker.io/v1/", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("docker.io", "docker.io"),
        ("docker.io/library", "docker.io/library"),
        ("https://Quay.io", "quay.io"),
        ("https://r.test/v2/", "r.test"),
        ("http://r.test:5000/v1", "r.test:5000"),
        ("HTTPS://r.test:443/v2/", "r.test"),
        ("http://r.test:80", "r.test"),
        ("r.test:443/team", "r.test/team"),
        ("[::1]:443", "[::1]"),
        ("[::80]", "[::80]"),
        ("DOCKER.IO", "docker.io"),
        ("r.test/team/app", "r.test/team/app"),
    ],
)
def test_keys_are_normalised(key: str, normal: str) -> None:
    """Schemes, API versions and Docker Hub's many names mean nothing."""
    assert normalise_key(key) == normal


@pytest.mark.parametrize("key", ["docker.io", HUB, "index.docker.io", "https://docker.io/v2/"])
def test_docker_hub_is_found_under_any_of_its_names(key: str, tmp_path: Path) -> None:
    """What docker, podman and people write."""
    assert found({"auths": {key: auth("u", "p")}}, tmp_path, "docker.io") == Credential("u", "p")


GOOD = Credential("u", "good")
FILLED = auth("u", "good")
STALE = auth("u", "stale")


@pytest.mark.parametrize(
    "auths",
    [
        {"https://r.test": {}, "r.test": FILLED},
        {"r.test": {}, "https://r.test": FILLED},
        {"http://r.test/v2/": STALE, "r.test": FILLED},
        {"http://r.test": STALE, "https://r.test/v1/": FILLED},
        {"https://r.test": STALE, "R.test:443": FILLED},
        {"R.TEST": STALE, "r.test": FILLED},
        {"r.test:80": {"auth": ""}, "r.test:443": FILLED},
    ],
    ids=str,
)
def test_of_two_spellings_the_nearer_one_counts(auths: dict[str, Any], tmp_path: Path) -> None:
    """Whatever their order in the file; and an empty one hides none."""
    for order in (auths, dict(reversed(auths.items()))):
        assert found({"auths": order}, tmp_path, "r.test") == GOOD


@pytest.mark.parametrize("asked", ["r.test", "r.test:443", "r.test:80", "R.Test"])
@pytest.mark.parametrize("key", ["r.test", "r.test:443", "http://r.test:80", "https://R.test/v2/"])
def test_the_usual_port_makes_no_other_registry(key: str, asked: str, tmp_path: Path) -> None:
    """Nor does the case of its name; a port of its own does."""
    assert found({"auths": {key: FILLED}}, tmp_path, asked) == GOOD
    assert found({"auths": {key: FILLED}}, tmp_path, "r.test:8443") is None


def test_with_and_without_the_port_the_exact_entry_counts(tmp_path: Path) -> None:
    """They may be two registries, one of https and one of http."""
    document = {"auths": {"r.test": STALE, "r.test:80": FILLED}}
    assert found(document, tmp_path, "r.test:80") == GOOD


def test_helpers_are_ranked_as_entries_are(tmp_path: Path) -> None:
    """An empty one names none."""
    install(tmp_path, "one", **{"r.test": ("u", "good")})
    for helpers in (
        {"https://r.test": "", "r.test": "one"},
        {"https://r.test": "two", "r.test": "one"},
        {"r.test": "", "r.test:443": "one"},
    ):
        assert found({"credHelpers": helpers}, tmp_path, "r.test") == GOOD
    assert found({"credsStore": "one"}, tmp_path, "r.test:443") == GOOD


def test_wrapped_base64_is_base64(tmp_path: Path) -> None:
    """As base64(1) prints it."""
    wrapped = base64.encodebytes(f"u:{'p' * 90}".encode()).decode()
    assert "\n" in wrapped.strip()
    assert found({"auths": {"r.test": {"auth": wrapped}}}, tmp_path, "r.test") == Credential(
        "u", "p" * 90
    )


def test_the_most_specific_path_comes_first(tmp_path: Path) -> None:
    """A repository's own entry, then its namespace's, then the host's."""
    document = {
        "auths": {
            "r.test": auth("host", "1"),
            "r.test/team": auth("team", "2"),
            "r.test/team/app": auth("app", "3"),
        }
    }
    users = {
        "team/app": "app",
        "team/app/part": "app",
        "team/other": "team",
        "teams/app": "host",
        "": "host",
    }
    for repository, user in users.items():
        credential = found(document, tmp_path, "r.test", repository)
        assert credential is not None
        assert credential.username == user
    assert found(document, tmp_path, "r.test:5000", "team/app") is None
    assert found(document, tmp_path, "x.r.test", "team/app") is None


def test_every_form_of_an_entry_is_read(tmp_path: Path) -> None:
    """``auth``, user and password, identity and registry tokens, colons in passwords."""
    forms: list[tuple[dict[str, str], Credential | None]] = [
        (auth("u", "p:q"), Credential("u", "p:q")),
        ({"username": "u", "password": "p"}, Credential("u", "p")),
        ({**auth("u", ""), "identitytoken": "i"}, Credential("u", "", "i")),
        ({"registrytoken": "r"}, Credential(registry_token="r")),
        (auth("u", "p\0\0"), Credential("u", "p")),
        ({}, None),
    ]
    for entry, expected in forms:
        assert found({"auths": {"r.test": entry}}, tmp_path, "r.test") == expected


def test_files_count_in_their_order(tmp_path: Path) -> None:
    """The first one that knows the registry wins; missing ones are passed over."""
    sources = (
        CredentialFile(str(tmp_path / "absent.json")),
        CredentialFile(
            "DOCKER_AUTH_CONFIG", text=json.dumps({"auths": {"a.test": auth("1", "x")}})
        ),
        write(tmp_path / "2.json", {"auths": {"a.test": auth("2", "x"), "b.test": auth("2", "x")}}),
        CredentialFile(
            write(tmp_path / ".dockercfg", {"c.test": auth("3", "x")}).path, legacy=True
        ),
    )
    store = CredentialStore(sources)
    users = [store.find(host) for host in ("a.test", "b.test", "c.test")]
    assert [user.username if user else None for user in users] == ["1", "2", "3"]
    assert store.find("d.test") is None


def test_nothing_is_read_before_it_is_needed(tmp_path: Path) -> None:
    """A broken file hurts only those who ask for credentials."""
    store = CredentialStore((write(tmp_path / "config.json", "broken"),))
    with pytest.raises(CredentialError):
        store.find("r.test")


def test_given_credentials_come_first_and_go_to_one_registry(tmp_path: Path) -> None:
    """A second registry is an error rather than a leak."""
    source = write(tmp_path / "config.json", {"auths": {"b.test": auth("file", "x")}})
    store = CredentialStore((source,), Given(Credential("me", "pw")))
    first = store.find("a.test")
    assert first is not None
    assert first.username == "me"
    assert store.find("a.test") == first
    with pytest.raises(CredentialError, match=r"a\.test"):
        store.find("b.test")
    store = CredentialStore((source,), Given(Credential("me", "pw"), "a.test"))
    other = store.find("b.test")
    assert other is not None
    assert other.username == "file"


@pytest.mark.parametrize(
    "content",
    [
        "{secret",
        "[]",
        '"secret"',
        '{"auths": ["secret"]}',
        '{"auths": {"r.test": "secret"}}',
        '{"auths": {"r.test": {"auth": "c2VjcmV0"}}}',
        '{"auths": {"r.test": {"auth": "!secret!"}}}',
        '{"auths": {"r.test": {"auth": 5}}}',
        '{"auths": {"r.test": {"registrytoken": "secret\\nX: y"}}}',
        '{"auths": {"r.test": {"username": "u", "password": "secret\\ud800"}}}',
        '{"credHelpers": "secret"}',
        '{"credsStore": ["secret"]}',
        "[" * 100000,
    ],
)
def test_a_malformed_file_is_named_and_not_quoted(content: str, tmp_path: Path) -> None:
    """Broken is not the same as empty, and a secret in it stays in it."""
    with pytest.raises(CredentialError, match=r"config\.json") as caught:
        found(content, tmp_path, "r.test")
    assert "secret" not in str(caught.value).replace("credsStore", "")
    assert caught.value.__cause__ is None


def test_an_unreadable_or_odd_file_is_an_error(tmp_path: Path) -> None:
    """A directory, binary data, and a file that was asked for and is not there."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff\xfe{}")
    for source in (
        CredentialFile(str(tmp_path / "directory")),
        CredentialFile(str(tmp_path / "binary")),
        CredentialFile(str(tmp_path / "absent"), required=True),
    ):
        with pytest.raises(CredentialError, match=os.path.basename(source.path)):
            CredentialStore((source,)).find("r.test")


def test_a_file_may_be_empty(tmp_path: Path) -> None:
    """Empty, an empty object, and empty tables hold no credentials."""
    for content in ("", " \n", "{}", '{"auths": null}', '{"auths": {}, "credHelpers": {}}'):
        assert found(content, tmp_path, "r.test") is None


def test_no_repr_shows_a_secret() -> None:
    """Neither a credential's nor a source's."""
    credential = Credential("user", "s3cret", "s3cret", "s3cret")
    source = CredentialFile("x", text="s3cret")
    assert "s3cret" not in repr(credential) + str(Given(credential)) + repr(source)


def test_helpers_come_before_the_store_and_the_file(tmp_path: Path) -> None:
    """``credHelpers``, then ``credsStore``, then ``auths``."""
    install(tmp_path, "one", **{"a.test": ("one", "x")})
    install(tmp_path, "two", **{"b.test": ("two", "x"), HUB: ("hub", "x")})
    document = {
        "auths": {h: auth("file", "x") for h in ("a.test", "b.test", "c.test")},
        "credHelpers": {"a.test": "one"},
        "credsStore": "two",
    }
    expected = {"a.test": "one", "b.test": "two", "c.test": "file", "docker.io": "hub"}
    for host, user in expected.items():
        credential = found(document, tmp_path, host)
        assert credential is not None
        assert credential.username == user
    assert found(document, tmp_path, "d.test") is None


def test_a_helpers_token_is_an_identity_token(tmp_path: Path) -> None:
    """The user name ``<token>`` says so."""
    install(tmp_path, "one", **{"a.test": ("<token>", "refresh")})
    document = {"credHelpers": {"a.test": "one"}}
    assert found(document, tmp_path, "a.test") == Credential(identity_token="refresh")


BROKEN = {
    "fails": "#!/bin/sh\ncat >/dev/null\necho s3cret\nexit 3\n",
    "junk": "#!/bin/sh\ncat >/dev/null\necho s3cret\n",
    "list": "#!/bin/sh\ncat >/dev/null\necho '[]'\n",
    "half": '#!/bin/sh\ncat >/dev/null\necho \'{{"Username": "s3cret"}}\'\n',
    "hangs": "#!/bin/sh\nexec sleep 30\n",
    "nothing": "#!/does/not/exist\n",
    "floods": "#!/bin/sh\nexec yes s3cret\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_helper_is_an_error_and_never_anonymous(name: str, tmp_path: Path) -> None:
    """Nor does the file's own entry step in; what the helper printed is not shown."""
    install(tmp_path, name, BROKEN[name])
    document = {"auths": {"a.test": auth("file", "x")}, "credHelpers": {"a.test": name}}
    source = write(tmp_path / "config.json", document)
    store = CredentialStore((source,), search_path=str(tmp_path / "bin"), helper_timeout=0.5)
    with pytest.raises(CredentialError, match=f"docker-credential-{name}") as caught:
        store.find("a.test")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("then", ["sleep 300", "yes"])
def test_a_helper_is_stopped_with_all_that_it_started(then: str, tmp_path: Path) -> None:
    """When it takes too long, or prints too much, of which no more is kept than an answer has."""
    place = tmp_path / "child"
    install(tmp_path, "starts", f"#!/bin/sh\nsleep 300 & echo $! >{place}; {then}\n")
    source = write(tmp_path / "config.json", {"credHelpers": {"a.test": "starts"}})
    store = CredentialStore((source,), search_path=str(tmp_path / "bin"), helper_timeout=2)
    tracemalloc.start()
    try:
        with pytest.raises(CredentialError, match=r"did not answer|answered too much"):
            store.find("a.test")
        assert tracemalloc.get_traced_memory()[1] < 5 * ANSWER_LIMIT
    finally:
        tracemalloc.stop()

    status = Path("/proc", place.read_text().strip(), "stat")
    for _ in range(500):
        try:
            state = status.read_text().rpartition(")")[2].split()[0]
        except OSError:
            break
        if state == "Z":
            break
        time.sleep(0.02)  # a killed process takes a moment to be gone
    else:
        raise AssertionError(state)


def test_a_helper_need_not_read_what_it_is_told(tmp_path: Path) -> None:
    """However long that is."""
    install(tmp_path, "deaf", "#!/bin/sh\nexit 0\n")
    helper = CredentialStore(search_path=str(tmp_path / "bin")).helper("file", "deaf")
    helper.store("a.test", "u", "p" * (1 << 20))


@pytest.mark.parametrize("name", ["../evil", "a/b", "", "-x", "A", "a b", "x" * 100, 5, None])
def test_a_helpers_name_is_checked(name: object, tmp_path: Path) -> None:
    """A name is no path; empty ones are the same as none."""
    document = {"auths": {"a.test": auth("file", "x")}, "credHelpers": {"a.test": name}}
    if not name:
        credential = found(document, tmp_path, "a.test")
        assert credential is not None
        return
    with pytest.raises(CredentialError):
        found(document, tmp_path, "a.test")


def test_a_helper_is_not_looked_for_in_relative_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``.`` in PATH finds nothing; a missing helper is an error that names the file."""
    install(tmp_path, "one", **{"a.test": ("one", "x")})
    monkeypatch.chdir(tmp_path / "bin")
    source = write(tmp_path / "config.json", {"credHelpers": {"a.test": "one"}})
    for path in ("", ".", "bin"):
        with pytest.raises(CredentialError, match="docker-credential-one is not installed"):
            CredentialStore((source,), search_path=path).find("a.test")


def mode(path: Path) -> int:
    """A file's permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def test_storing_keeps_everything_else_and_makes_the_file_private(tmp_path: Path) -> None:
    """Unknown keys, other entries and their order stay; the mode becomes 0600."""
    path = tmp_path / "config.json"
    document = {"x": {"y": [1]}, "auths": {"b.test": auth("b", "x")}, "z": "é"}
    source = write(path, document)
    path.chmod(0o644)
    store_credential(str(path), "a.test", Credential("u", "p"), CredentialStore())
    after = json.loads(path.read_text())
    assert list(after) == ["x", "auths", "z"]
    assert after["auths"] == {"b.test": auth("b", "x"), "a.test": auth("u", "p")}
    assert (after["x"], after["z"]) == ({"y": [1]}, "é")
    assert mode(path) == 0o600
    assert CredentialStore((source,)).find("a.test") == Credential("u", "p")
    assert os.listdir(tmp_path) == ["config.json"]


def test_storing_makes_the_directory_and_follows_a_link(tmp_path: Path) -> None:
    """A new file is private with its directory; a link stays a link."""
    path = tmp_path / "docker" / "config.json"
    store_credential(str(path), "docker.io", Credential("u", "p"), CredentialStore())
    assert json.loads(path.read_text()) == {"auths": {HUB: auth("u", "p")}}
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    store_credential(str(link), "a.test", Credential("v", "q"), CredentialStore())
    assert link.is_symlink()
    assert set(json.loads(path.read_text())["auths"]) == {HUB, "a.test"}


def test_storing_replaces_what_would_hide_the_new_entry(tmp_path: Path) -> None:
    """Other spellings of the same registry go."""
    path = tmp_path / "config.json"
    old = {"index.docker.io": auth("old", "x"), "docker.io": auth("old", "x")}
    source = write(path, {"auths": old})
    store_credential(str(path), "docker.io", Credential("new", "p"), CredentialStore())
    assert CredentialStore((source,)).find("docker.io") == Credential("new", "p")
    assert (
        "old" not in base64.b64decode(json.loads(path.read_text())["auths"][HUB]["auth"]).decode()
    )


def test_a_configured_helper_gets_the_secret_instead_of_the_file(tmp_path: Path) -> None:
    """The file keeps Docker's empty mark only."""
    memory = install(tmp_path, "one")
    path = tmp_path / "config.json"
    write(path, {"credsStore": "one"})
    store = CredentialStore(search_path=str(tmp_path / "bin"))
    helper = store_credential(str(path), "docker.io", Credential("u", "s3cret"), store)
    assert helper is not None
    assert json.loads(memory.read_text())[HUB]["Secret"] == "s3cret"
    assert json.loads(path.read_text())["auths"] == {HUB: {}}
    assert "s3cret" not in path.read_text()
    erased = erase_credential((CredentialFile(str(path)),), "docker.io", store)
    assert erased == (str(path),)
    assert json.loads(memory.read_text()) == {}
    assert json.loads(path.read_text()) == {"credsStore": "one", "auths": {}}


@pytest.mark.parametrize("helped", [False, True])
def test_a_file_with_half_a_character_is_stored_into_as_any_other(
    tmp_path: Path, *, helped: bool
) -> None:
    """JSON can spell a lone surrogate, which UTF-8 cannot."""
    install(tmp_path, "one")
    path = tmp_path / "config.json"
    helper = ', "credsStore": "one"' if helped else ""
    path.write_text('{"x\\ud800": "\\udfff", "auths": {"\\ud800": {}}' + helper + "}")
    store = CredentialStore((CredentialFile(str(path)),), search_path=str(tmp_path / "bin"))
    store_credential(str(path), "a.test", Credential("u", "p"), store)
    after = json.loads(path.read_text())
    assert (after["x\ud800"], after["auths"]["\ud800"]) == ("\udfff", {})
    assert "a.test" in after["auths"]
    assert store.find("a.test") == Credential("u", "p")


def test_logins_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    """Every entry of three processes is in the file, and no lock is left beside it."""
    path = tmp_path / "new" / "config.json"
    code = (
        "import sys\n"
        "from imgpack.credentials.config_file import store_credential as store\n"
        "from imgpack.credentials.lookup import Credential, CredentialStore\n"
        "for n in range(20):\n"
        "    host = f'r{sys.argv[2]}-{n}.test'\n"
        "    store(sys.argv[1], host, Credential('u', 'p'), CredentialStore())\n"
    )
    many = [subprocess.Popen([sys.executable, "-c", code, str(path), str(n)]) for n in range(3)]
    assert [process.wait(60) for process in many] == [0, 0, 0]
    assert len(json.loads(path.read_text())["auths"]) == 60
    assert list(path.parent.iterdir()) == [path]


def test_forgetting_reaches_every_file(tmp_path: Path) -> None:
    """And changes nothing where there is nothing to forget."""
    one = write(tmp_path / "1.json", {"auths": {"a.test": auth("u", "p"), "b.test": {}}})
    two = write(tmp_path / "2.json", {"auths": {"https://a.test/v2/": auth("u", "p")}})
    three = write(tmp_path / "3.json", {"auths": {"c.test": auth("u", "p")}})
    before = (tmp_path / "3.json").stat().st_ino
    assert erase_credential((one, two, three), "a.test", CredentialStore()) == (one.path, two.path)
    assert json.loads((tmp_path / "1.json").read_text()) == {"auths": {"b.test": {}}}
    assert (tmp_path / "3.json").stat().st_ino == before
    assert erase_credential((one, two, three), "a.test", CredentialStore()) == ()


def test_a_login_goes_where_it_is_not_hidden(tmp_path: Path) -> None:
    """To the first file that knows the registry, else to the default."""
    one = write(tmp_path / "1.json", {"auths": {"a.test": auth("u", "p")}})
    two = write(tmp_path / "2.json", {"credHelpers": {"b.test": "one"}})
    assert choose_file((one, two), "a.test", "default") == one.path
    assert choose_file((one, two), "b.test", "default") == two.path
    assert choose_file((one, two), "c.test", "default") == "default"


def test_a_write_that_fails_leaves_no_temporary(tmp_path: Path) -> None:
    """A file where a directory should be, and a file that cannot grow."""
    (tmp_path / "file").write_text("")
    with pytest.raises(CredentialError, match="cannot be written"):
        login(tmp_path / "file" / "config.json")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(CredentialError, match="cannot be written"):
            login(tmp_path / "config.json")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == ["file"]


def login(path: Path) -> None:
    """Store a password for a.test."""
    store_credential(str(path), "a.test", Credential("user", "pass"), CredentialStore())


@pytest.mark.parametrize("put", [os.mkfifo, os.mkdir], ids=["pipe", "directory"])
def test_what_is_no_file_holds_no_credentials(tmp_path: Path, put: Callable[[Path], None]) -> None:
    """Neither a pull nor a login waits for somebody to write into a pipe."""
    put(tmp_path / "config.json")
    with pytest.raises(CredentialError, match=r"cannot be read \(not a regular file\)"):
        CredentialFile(str(tmp_path / "config.json")).read()
    with pytest.raises(CredentialError, match=r"cannot be read \(not a regular file\)"):
        login(tmp_path / "config.json")


def test_a_link_to_a_file_holds_its_credentials(tmp_path: Path) -> None:
    """It is the user's own; /dev/null holds none."""
    write(tmp_path / "real.json", {"auths": {}})
    (tmp_path / "link.json").symlink_to("real.json")
    assert CredentialFile(str(tmp_path / "link.json")).read() == {"auths": {}}
    assert CredentialFile("/dev/null").read() == {}


@pytest.mark.parametrize("after", ["login", "logout"])
def test_what_a_killed_login_left_goes_with_the_next_command(tmp_path: Path, after: str) -> None:
    """It holds a password, though it was the first and there is no file yet."""
    path = tmp_path / "config.json"
    code = (
        "import os, signal, sys\n"
        "from imgpack.credentials.config_file import store_credential\n"
        "from imgpack.credentials.lookup import Credential, CredentialStore\n"
        "os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)\n"
        "store_credential(sys.argv[1], 'a.test', Credential('u', 'p'), CredentialStore())\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert auth("u", "p")["auth"] in left.read_text()
    assert left.stat().st_mode & 0o777 == 0o600

    if after == "login":
        login(path)
    else:
        erase_credential((CredentialFile(str(path)),), "b.test", CredentialStore())

    assert os.listdir(tmp_path) == (["config.json"] if after == "login" else [])


@pytest.mark.parametrize("after", ["login", "logout"])
def test_what_an_earlier_version_left_goes_too(tmp_path: Path, after: str) -> None:
    """It had other names for its temporaries, with a password in them all the same."""
    path = tmp_path / "config.json"
    for name in (".imgpack-ab12_xyz", ".imgpack-notes", "imgpack-ab12_xyz"):
        (tmp_path / name).touch()
    if after == "login":
        login(path)
    else:
        erase_credential((CredentialFile(str(path)),), "b.test", CredentialStore())

    assert {".imgpack-notes", "imgpack-ab12_xyz"} == set(os.listdir(tmp_path)) - {"config.json"}


@pytest.mark.parametrize("kind", ["fifo", "device", "directory"])
def test_credentials_replace_nothing_but_a_file(tmp_path: Path, kind: str) -> None:
    """/dev/null least of all, which root could rename over; it is told before anything is asked."""
    path = tmp_path / "config.json"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/null")
    else:
        path.mkdir()

    with pytest.raises(CredentialError, match=r"config\.json"):
        choose_file((), "a.test", str(path))
    with pytest.raises(CredentialError, match=r"config\.json"):
        login(path)
    assert not path.is_file()
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_login_leaves_one_entry_under_the_name_that_was_given(tmp_path: Path) -> None:
    """Docker looks for just that one."""
    path = tmp_path / "config.json"
    write(path, {"auths": {"r.test": STALE, "https://r.test:443": STALE, "r.test:5000": STALE}})
    store_credential(str(path), "R.test:443", GOOD, CredentialStore())

    assert set(json.loads(path.read_text())["auths"]) == {"r.test:443", "r.test:5000"}
    assert CredentialStore((CredentialFile(str(path)),)).find("r.test") == GOOD


@pytest.mark.parametrize(
    "text", ["", "a b", "user:pw@host", "host/path", "https://", "a\nb", "h:0", "h:65536"]
)
def test_what_is_no_registry_is_refused(text: str) -> None:
    """``login`` takes a host, with or without a scheme."""
    with pytest.raises(InvalidReferenceError):
        server_host(text)
    assert server_host("https://index.docker.io/v1/") == "docker.io"
    assert server_host("https://R.test:5000/v2/") == "r.test:5000"
    assert server_host("[::1]:5000") == "[::1]:5000"


def test_two_logins_at_once_keep_both_entries(tmp_path: Path) -> None:
    """Two processes that begin together, with twenty registries each."""
    path = tmp_path / "config.json"
    code = (
        "import sys\n"
        "from imgpack.credentials.config_file import store_credential as store\n"
        "from imgpack.credentials.lookup import Credential, CredentialStore\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
        "for n in range(20):\n"
        "    host = f'r{sys.argv[2]}-{n}.test'\n"
        "    store(sys.argv[1], host, Credential('u', 'p'), CredentialStore())\n"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for number in range(2)
    ]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.close()
    for process in both:
        with process:
            assert process.wait(60) == 0
    names = {f"r{number}-{n}.test" for number in range(2) for n in range(20)}
    assert json.loads(path.read_text())["auths"].keys() == names


def test_a_login_waits_for_another_one_that_is_at_it(tmp_path: Path) -> None:
    """What that one writes is kept: it is read when the lock is free, and not before."""
    path = tmp_path / "config.json"
    write(path, {})
    directory = os.open(tmp_path, os.O_RDONLY)
    login = threading.Thread(
        target=store_credential, args=(str(path), "a.test", Credential("u", "p"), CredentialStore())
    )
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        login.start()
        login.join(0.2)
        assert login.is_alive()
        write(path, {"auths": {"b.test": {}}})
    finally:
        os.close(directory)
        login.join(10)
    assert json.loads(path.read_text())["auths"].keys() == {"a.test", "b.test"}
