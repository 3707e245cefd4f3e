"""Options of other programs for images that are there: to push, copy, pull and look at them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from imgpack.cli.habits.looking import LOOKING

_TLS: Final = "say --plain-http for HTTP, or --tls-verify false for any certificate"
_PASSWORD: Final = "say --creds USER, with --password-stdin for the password"
_AUTHFILE: Final = "the variable REGISTRY_AUTH_FILE names a file of credentials"
_CLIENT: Final = "--cert-dir DIR has a client's certificate and key"
_TOKEN: Final = "credentials with a registrytoken come from a file: REGISTRY_AUTH_FILE names it"
_ANONYMOUS: Final = "stored credentials are forgotten by: imgpack logout REGISTRY"
_PLATFORM: Final = "say --platform OS/ARCH"
_NAMES: Final = "a name to push to follows ARCHIVE: imgpack push ARCHIVE REF"
_ALL_NAMES: Final = "all names that ARCHIVE holds are pushed by --all, or without a REF"
_BYTES: Final = "manifests are never rewritten on their way, and so digests stay as they are"
_SIGNING: Final = "no signature is made or copied"
_PRINTED: Final = "NAME@DIGEST is what is printed"
_DAEMON: Final = "no daemon is asked: save the image to an archive first, with docker save"
_TAGS: Final = "the tags of a repository are listed by: imgpack tags REPO"

SHARED: Final[tuple[tuple[str, Mapping[str, str]], ...]] = (
    (
        "--platform",
        dict.fromkeys(
            ("--arch", "--os", "--variant", "--override-arch", "--override-os",
             "--override-variant", "--architecture"), _PLATFORM,
        ),
    ),
    ("--jobs", dict.fromkeys(("--parallel", "--concurrency", "--max-concurrent-uploads"),
                             "say --jobs N")),
    (
        "--json",
        {"--format": "there is no template: --json is for jq", "--output-format": "say --json"},
    ),
    ("--image", {"--tag-name": "say --image NAME"}),
    (
        "--allow-nondistributable",
        {"--allow-nondistributable-artifacts": "say --allow-nondistributable"},
    ),
    (
        "--tls-verify",
        {
            **dict.fromkeys(
                ("--insecure", "--insecure-registry", "-k", "--http", "--src-tls-verify",
                 "--dest-tls-verify", "--skip-tls-verify", "--no-tls-verify", "--tlsverify",
                 "--allow-insecure", "--skip-tls"), _TLS,
            ),
            **dict.fromkeys(("--authfile", "--src-authfile", "--dest-authfile",
                             "--registry-config"), _AUTHFILE),
            **dict.fromkeys(
                ("--username", "-u", "--password", "-p", "--src-creds", "--dest-creds",
                 "--src-username", "--src-password", "--dest-username", "--dest-password"),
                _PASSWORD,
            ),
            **dict.fromkeys(("--no-creds", "--src-no-creds", "--dest-no-creds"), _ANONYMOUS),
            **dict.fromkeys(("--registry-token", "--src-registry-token",
                             "--dest-registry-token", "--token", "--identity-token"), _TOKEN),
            **dict.fromkeys(("--src-cert-dir", "--dest-cert-dir"), "say --cert-dir DIR"),
            **dict.fromkeys(("--cacert", "--tlscacert", "--ca", "--registry-certificate"),
                            "say --ca-file PEM"),
            **dict.fromkeys(("--cert", "--key", "--tlscert", "--tlskey"), _CLIENT),
            **dict.fromkeys(("--retry", "--retry-times"), "say --retries N"),
            **dict.fromkeys(
                ("--sign-by", "--sign-by-sigstore", "--sign-by-sigstore-private-key",
                 "--sign-identity", "--sign-passphrase-file", "--remove-signatures",
                 "--disable-content-trust", "--insecure-policy", "--policy", "--registries.d",
                 "--signature-policy"), _SIGNING,
            ),
            **dict.fromkeys(("--decryption-key", "--encryption-key", "--encrypt-layer"),
                            "nothing is encrypted or decrypted"),
            **dict.fromkeys(("--preserve-digests", "--prefer-index"), _BYTES),
            **dict.fromkeys(("--digestfile", "--full-ref", "--image-refs"), _PRINTED),
            **dict.fromkeys(("--daemon-host", "--src-daemon-host", "--dest-daemon-host"), _DAEMON),
            **dict.fromkeys(("--shared-blob-dir", "--src-shared-blob-dir",
                             "--dest-shared-blob-dir"), "a layout holds all that it names"),
            "--retry-delay": "it grows by itself, or is what the registry says; --retries N",
            "--command-timeout": "--timeout SECONDS is the longest silence of a registry",
            "--proxy": "the variables HTTPS_PROXY and NO_PROXY say it",
        },
    ),
)  # fmt: skip
"""What those commands have not that have the option before it."""

OPTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    **LOOKING,
    "tag": {
        "-t": "names are arguments: imgpack tag IMAGE NAME",
        "--tag": "names are arguments: imgpack tag IMAGE NAME",
    },
    "manifest": {
        "--raw": "they are the bytes as they are already",
        "--digest": "the digest is printed by: imgpack digest IMAGE",
        "--format": "it is printed byte for byte, which jq reads: imgpack manifest IMAGE",
        "-f": "it is printed byte for byte, which jq reads: imgpack manifest IMAGE",
    },
    "digest": {
        "--full-ref": "the digest alone is printed",
        "--tarball": "the archive is the argument: imgpack digest ARCHIVE",
    },
    "blob": {"--digest": "it follows the name: imgpack blob REF@DIGEST"},
    "push": {
        "-t": _NAMES,
        "--tag": _NAMES,
        "--all-tags": _ALL_NAMES,
        "-a": _ALL_NAMES,
        "--index": "an index is pushed with what is in it",
        "-i": "say --image NAME",
        "--force": "a tag that is there is moved",
        "--format": "it is pushed as it is; OCI media types are made by: "
        "imgpack build SRC --format oci",
        "--compression-format": "it is pushed as it is: imgpack build SRC --compression zstd",
        "--compression-level": "it is pushed as it is: imgpack build SRC --compression zstd:12",
        "--force-compression": "it is pushed as it is: imgpack build SRC --compression zstd",
        "--compress": "layers are compressed when they are built",
        "--rm": "the archive stays where it is",
        "--all-platforms": "an index is pushed whole, unless there is --platform",
    },
    "copy": {
        **dict.fromkeys(("--all", "-a", "--multi-arch"), "say --all-platforms"),
        "--all-tags": f"each is copied by itself; {_TAGS}",
        "--no-clobber": "a tag that is there is moved",
        "-n": "a tag that is there is moved",
        **dict.fromkeys(
            ("-f", "--format"),
            "media types stay; others are made by: imgpack flatten IMAGE -o REF --format oci",
        ),
        "--additional-tag": "write an archive, then push it: imgpack push ARCHIVE REF REF",
        "-o": "DST follows SRC: imgpack copy SRC DST",
        "--output": "DST follows SRC: imgpack copy SRC DST",
        "--src": "the places are arguments: imgpack copy SRC DST",
        "--dest": "the places are arguments: imgpack copy SRC DST",
        "--keep-going": "one image is copied, whole or not at all",
        "--scoped": "DST is the whole name: imgpack copy SRC DST",
        **dict.fromkeys(
            ("--dest-compress", "--dest-decompress", "--dest-compress-format",
             "--dest-compress-level"),
            "layers stay; others are made by: imgpack recompress IMAGE --compression zstd -o REF",
        ),
        "--dest-precompute-digests": "digests are known before anything is sent",
        "--dest-oci-accept-uncompressed-layers": "layers are copied as they are",
    },
    "pull": {
        "--all-platforms": "all are pulled, unless there is --platform",
        "--all-tags": f"each is pulled by itself; {_TAGS}",
        "-a": f"each is pulled by itself; {_TAGS}",
        "--format": "-o FILE.tar is an archive, -o DIR/ an OCI layout",
        "-c": "layers are not cached: a pull writes them once",
        "--cache_path": "layers are not cached: a pull writes them once",
        "--policy": "it is asked for each time",
        "--annotate-ref": "the name is in the layout: -t NAME gives another",
        "--unpack": "a layer is unpacked by: imgpack blob REF@DIGEST | tar xz",
    },
    "flatten": {
        "--metadata": "say --metadata-file FILE",
        "--layers": "--above BASE keeps those of a base",
        "--squash": "that is what it does",
        "-f": "--above BASE keeps the layers of a base",
    },
    "config": {
        "--env-file": "variables are given one by one: -e NAME=VALUE",
        "--exposed-ports": "say --expose PORT",
        "--port": "say --expose PORT",
        "-p": "say --expose PORT",
        "--annotation": "annotations are changed by: imgpack annotate IMAGE --annotation "
        "KEY=VALUE -o FILE.tar",
        "--append": "layers are appended by: imgpack append IMAGE LAYER -o FILE.tar",
        "--working-dir": "say --workdir PATH",
        "--workingdir": "say --workdir PATH",
        "--healthcheck": "say --healthcheck-cmd COMMAND",
        "--replace": "say --in-place",
        "--create": "say -o REF",
        "--repo": "say -o REF",
        "--set-platform": "an image for another platform is another build",
        **{
            f"--config.{name}": f"say --{here}"
            for name, here in (
                ("env", "env"), ("cmd", "cmd"), ("entrypoint", "entrypoint"), ("user", "user"),
                ("label", "label"), ("workingdir", "workdir"), ("volume", "volume"),
                ("exposedports", "expose"), ("stopsignal", "stop-signal"),
            )
        },
        "--set": "each field is an option: imgpack config IMAGE -e NAME=VALUE -o FILE.tar",
        "--clear": "say --clear-cmd and the like, or --unset-env NAME",
        "--clear-env": "say --unset-env NAME",
        "--env-add": "say -e NAME=VALUE",
        "--remove-label": "say --unset-label KEY",
        "--history.author": "say --author TEXT",
        "--history.comment": "say --comment TEXT",
    },
    "annotate": {
        "-a": "say --annotation KEY=VALUE",
        "--annotations": "say --annotation KEY=VALUE",
        **dict.fromkeys(
            ("-l", "--label"),
            "labels are changed by: imgpack config IMAGE --label KEY=VALUE -o FILE.tar",
        ),
        **dict.fromkeys(("--delete", "--unset", "--unset-annotation"), "say --remove KEY"),
        "--replace": "say --in-place",
        "--create": "say -o REF",
    },
    "append": {
        "-b": "the image is an argument: imgpack append IMAGE LAYER -o FILE.tar",
        "--base": "the image is an argument: imgpack append IMAGE LAYER -o FILE.tar",
        "-f": "layers are arguments: imgpack append IMAGE LAYER -o FILE.tar",
        "--new_layer": "layers are arguments: imgpack append IMAGE LAYER -o FILE.tar",
        "--layer": "layers are arguments: imgpack append IMAGE LAYER -o FILE.tar",
        "--new_tag": "a name to push to is -o REF",
        "--set-base-image-annotations": "the image stays on the base that it is on",
    },
    "recompress": {
        "--level": "it follows the kind: --compression zstd:19",
        "--compression-level": "it follows the kind: --compression zstd:19",
        "--compression-format": "say --compression zstd",
        "--force-compression": "every layer is compressed anew",
    },
    "rebase": {
        "--old_base": "say --from OLDBASE",
        "--new_base": "say --onto BASE",
        "--old-base": "say --from OLDBASE",
        "--new-base": "say --onto BASE",
        "--base": "say --onto BASE",
    },
    "tags": {
        "--limit": "say | head",
        "--omit-digest-tags": "say | grep -v ^sha256-",
        "-O": "say | grep -v ^sha256-",
        "-a": "all are listed",
        "--all": "all are listed",
    },
    "rm": {
        "-f": "it asks nothing, and one that is not there is an error",
        "--force": "it asks nothing, and one that is not there is an error",
        "-r": "a repository goes with its tags: rm each of them",
        "--all-tags": "an image goes with all its tags, if it is named by its digest",
    },
    "create": {
        "-a": "--append adds to the index that is there",
        "--amend": "--append adds to the index that is there",
        "-m": "each is named: imgpack index create REF --add REF --add REF",
        "--manifest": "each is named: imgpack index create REF --add REF --add REF",
        "-f": "each is named: imgpack index create REF --add REF --add REF",
        "--file": "each is named: imgpack index create REF --add REF --add REF",
        "--dry-run": "there is none; what would be joined is seen by: imgpack inspect REF",
        "--push": "it is pushed when it is made",
        "--docker-empty-base": "images are added by: imgpack index create REF --add REF",
    },
    "login": {
        "-p": "a password comes from standard input: imgpack login REGISTRY -u USER "
        "--password-stdin",
        "--password": "a password comes from standard input: imgpack login REGISTRY -u USER "
        "--password-stdin",
        "--get-login": "whom a registry knows is not shown; --verbose says where it is stored",
        "--compat-auth-file": "the variable DOCKER_CONFIG names a directory with config.json",
        "--scope": "it is asked for with what each command needs",
    },
    "logout": {
        "--all": "say which: imgpack logout REGISTRY",
        "-a": "say which: imgpack logout REGISTRY",
        "--authfile": _AUTHFILE,
        "--tls-verify": "the registry is not asked",
    },
    "info": {"--cache": "say --cache-dir DIR"},
    "trim": {
        "--all": "say --max-size 0",
        "-a": "say --max-size 0",
        "--filter": "say --used-since 7d",
        "--force": "it asks nothing",
        "-f": "it asks nothing",
        "--keep-storage": "say --max-size SIZE",
        "--max-used-space": "say --max-size SIZE",
        "--reserved-space": "say --max-size SIZE",
        "--keep-duration": "say --used-since 7d",
    },
    "imgpack": {
        "-D": "say --debug",
        "-V": "say --version",
        "--log-level": "--quiet says less and --verbose more",
        "-l": "--quiet says less and --verbose more",
        "-H": "there is no daemon: archives and registries are named by each command",
        "--host": "there is no daemon: archives and registries are named by each command",
        "--context": "there is no daemon: archives and registries are named by each command",
        "-c": "there is no daemon: archives and registries are named by each command",
        "--config": "the variable DOCKER_CONFIG names a directory with config.json",
        "--root": "there is no store of images: each is an archive, a layout or in a registry",
        "--storage-driver": "there is no store of images: each is an archive, a layout or in a "
        "registry",
        "--tmpdir": "the variable TMPDIR names a directory for what is temporary",
        **dict.fromkeys(
            ("--insecure", "--platform", "--tls-verify", "--override-arch", "--override-os",
             "--allow-nondistributable-artifacts", "--insecure-policy", "--command-timeout",
             "--authfile"),
            "options follow the command, as in: imgpack inspect IMAGE --platform OS/ARCH",
        ),
        "--man": "the manual page is shown by: man imgpack",
        "--install-completion": "switch it on with what is printed by: imgpack completion bash",
        "--show-completion": "it is printed by: imgpack completion bash",
    },
}  # fmt: skip
"""What a command has not, and what to do instead."""

EXTRA: Final[Mapping[str, str]] = {
    "pull": "the file is an option: imgpack pull REF -o FILE.tar",
    "flatten": "the file is an option: imgpack flatten IMAGE -o FILE.tar",
    "rebase": "the bases are options: imgpack rebase IMAGE --onto BASE -o FILE.tar",
    "create": "each is named: imgpack index create REF --add REF --add REF",
    "login": "the user is an option: imgpack login REGISTRY -u USER --password-stdin",
    "annotate": "it is an option: imgpack annotate IMAGE --annotation KEY=VALUE --in-place",
    "config": "what changes are options: imgpack config IMAGE -e NAME=VALUE -o FILE.tar",
    "recompress": "how is an option: imgpack recompress IMAGE --compression zstd -o FILE.tar",
    "diff": "two images are compared; a path in them is an option: imgpack diff A B --path PATH",
    "verify": "one is named at a time; a directory by: imgpack verify IMAGE --against DIR",
    "ls": "one PATH is listed at a time",
    "du": "directories are shown to the depth of -d: imgpack du IMAGE -d 2",
    **dict.fromkeys(
        ("inspect", "manifest", "digest", "blob", "tags", "history", "lint"),
        "one is named at a time",
    ),
}
"""What to say to an argument that a command does not take."""
