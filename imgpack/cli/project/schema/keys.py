"""The keys of the project file: each with its kind, the option it is, and a line about it.

The one table: the reader, the JSON Schema and the page of keys are made of it. A key that has
an ``option`` holds what that option of ``build`` takes; the option reads and checks it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from imgpack.cli.project.schema.kinds import (
    COUNT,
    FLAG,
    PAIRS,
    PATH,
    PATHS,
    PLACE,
    PORTS,
    RULES,
    TEXT,
    TEXT_OR_NUMBER,
    TEXTS,
    TIME,
    TIMES,
    WORDS,
    ValueKind,
)


@dataclass(frozen=True, slots=True)
class Key:
    """A key of an image, or with a dot of a table in it.

    ``option`` is the parameter of ``build`` that it gives, empty for what is put together of
    several keys. ``example`` is its value in TOML.
    """

    name: str
    kind: ValueKind
    option: str
    text: str
    example: str


HEADINGS: Final[tuple[tuple[str, tuple[Key, ...]], ...]] = (
    ("Names, and where it goes", (
        Key("name", TEXT, "", "What the image is called, without a tag, or all of it. "
            "Without it, what its table is called.", '"registry.example.com/shop/web"'),
        Key("tags", TEXTS, "", "Its tags: `NAME:TAG` each; or whole names. "
            "`tag` is the same.", '["1.0", "latest"]'),
        Key("output", PATH, "output", "The archive, or with a slash at its end the layout. "
            "Without it `IMAGE.tar` beside the file.", '"out/web.tar"'),
        Key("push", TEXTS, "", "Where `imgpack push` and `imgpack build --push` send it. "
            "Without it, to its names; an empty list: nowhere.",
            '"registry.example.com/shop/web:1.0"'),
        Key("prune", FLAG, "prune", "Remove from the layout what nothing in it names.", "true"),
        Key("format", TEXT, "image_format", "Whose media types: `docker` or `oci`.", '"oci"'),
        Key("compression", TEXT, "compression", "`gzip[:1-12]`, `zstd[:1-19]` or `none`.",
            '"zstd:9"'),
    )),
    ("Base image", (
        Key("from", PLACE, "base", "The image to build on: a reference, a lock, an archive, a "
            "layout, or `scratch`.", '"debian.lock"'),
        Key("from-image", TEXT, "", "An image of this file to build on; it is built before.",
            '"base"'),
        Key("base-layers", PATHS, "base_layers", "Where the layers of a locked base are.",
            '["debian.tar"]'),
        Key("shallow", FLAG, "shallow", "Write it without base layers that are not at hand.",
            "true"),
        Key("keep-identical", FLAG, "keep_identical", "Pack what the base has just so, too.",
            "true"),
        Key("diff-from", PLACE, "diff_from", "Build on this, and pack only what the layer changes.",
            '"old.tar"'),
    )),
    ("What goes in", (
        Key("layers", TEXTS, "sources", "What the layers are made of, bottom first: `SRC`, "
            "`SRC:/DEST`, or a table (below).", '["dist:/opt/app"]'),
        Key("raw-layers", PATHS, "raw_layers", "Tars that are layers as they are, on top.",
            '["extra.tar"]'),
        Key("exclude", TEXTS, "exclude", "Patterns of what is left out of every layer.",
            '["*.pyc", "!keep.pyc"]'),
        Key("ignore-file", PATH, "ignore_file", "A file of such patterns for every layer.",
            '"docker/.ignore"'),
        Key("no-ignore-file", FLAG, "no_ignore_file", "Look for no ignore file in sources.",
            "true"),
    )),
    ("Shape of the layers", (
        Key("split", RULES, "splits", "Layers of their own, by name, for what matches.",
            '{ libs = "lib/**,lib64/**" }'),
        Key("squash", FLAG, "squash", "Make one layer of all that is on the base.", "true"),
        Key("whiteouts", TEXTS, "whiteouts", "Paths of the base to delete.", '["usr/share/doc"]'),
        Key("diff", PATH, "diff", "Pack only what the layer changes in this directory.",
            '"rootfs.old"'),
        Key("diff-mtime", FLAG, "diff_mtime", "A time alone is a change, too.", "true"),
        Key("overlay-uppers", PATHS, "overlay_uppers", "Upper directories of overlayfs, on top.",
            '["upper"]'),
    )),
    ("Owners, modes and times", (
        Key("owner", TEXT, "owner", "Who owns it all: `keep` or `UID:GID`.", '"0:0"'),
        Key("mtime", TIMES, "mtime", "The time of every file, or by pattern.",
            "2026-01-31T00:00:00Z"),
        Key("chown", RULES, "chown", "Who owns what matches, by pattern.",
            '{ "var/lib/app" = "app:app" }'),
        Key("chmod", RULES, "chmod", "Permissions, by pattern.", '{ "bin/*" = "0755" }'),
        Key("cap", RULES, "cap", "File capabilities, by pattern.",
            '{ "bin/web" = "cap_net_bind_service+ep" }'),
        Key("xattr", RULES, "xattr", "Extended attributes, by pattern.",
            '{ "bin/web" = "user.origin=ci" }'),
        Key("idmap", TEXTS, "idmap", "Ids on disk that are others in the image.",
            '["0:100000:65536"]'),
        Key("idmap-unmapped", TEXT, "idmap_unmapped", "`error` or `keep` ids that no range maps.",
            '"keep"'),
        Key("rootless-records", FLAG, "rootless_records", "Whether what rootless tools recorded "
            "counts.", "false"),
        Key("fakeroot-state", PATH, "fakeroot_state", "What `fakeroot -s` saved.",
            '"fakeroot.state"'),
        Key("mtree", PATH, "mtree", "An mtree(5) list that is laid over the layers.",
            '"rootfs.mtree"'),
        Key("mtree-only", FLAG, "mtree_only", "Leave out what the list has not.", "true"),
    )),
    ("Image configuration", (
        Key("entrypoint", WORDS, "entrypoint", "The program that is run.",
            '["/opt/app/web", "--serve"]'),
        Key("cmd", WORDS, "cmd", "Its default arguments.", '["--port", "8080"]'),
        Key("env", PAIRS, "env", "Variables.", '{ PORT = 8080, PATH = "/opt/app:$${PATH}" }'),
        Key("workdir", TEXT, "workdir", "The working directory.", '"/srv"'),
        Key("user", TEXT_OR_NUMBER, "user", "The user, by name or id.", '"app"'),
        Key("annotations", PAIRS, "annotation", "Annotations, of the manifest or with a place in "
            "front, as `index:KEY`.", '{ "org.example.team" = "shop" }'),
        Key("annotate", TEXT, "annotate", "`auto`: annotate it with what git and pyproject.toml "
            "beside the file say.", '"auto"'),
        Key("labels", PAIRS, "label", "Labels.", '{ "org.example.team" = "shop" }'),
        Key("expose", PORTS, "expose", "Ports that are documented.", '[8080, "53/udp"]'),
        Key("volumes", TEXTS, "volume", "Volumes.", '["/data"]'),
        Key("stop-signal", TEXT, "stop_signal", "The signal that stops the container.",
            '"SIGINT"'),
        Key("healthcheck.cmd", WORDS, "healthcheck_cmd", "Words, a command for the shell, or "
            "`NONE`.", '["/opt/app/web", "--check"]'),
        Key("healthcheck.interval", TEXT, "healthcheck_interval", "Time between checks.", '"30s"'),
        Key("healthcheck.timeout", TEXT, "healthcheck_timeout", "Time one check may take.", '"5s"'),
        Key("healthcheck.start-period", TEXT, "healthcheck_start_period", "Time to get started.",
            '"10s"'),
        Key("healthcheck.retries", COUNT, "healthcheck_retries", "Failures until it is unwell.",
            "3"),
        Key("shell", WORDS, "shell", "The shell of shell-form commands.", '["/bin/bash", "-c"]'),
        Key("onbuild", TEXTS, "onbuild", "Instructions for builds on top of this image.",
            '["RUN make"]'),
        Key("platforms", TEXTS, "platform", "What it runs on; of several an index is made. "
            "A table has layers of each, as in `layers`. `platform` is the same.",
            '{ "linux/amd64" = "out/amd64", "linux/arm64" = ["out/arm64:/"] }'),
        Key("platform-unchecked", FLAG, "platform_unchecked", "Take one that no runtime knows.",
            "true"),
        Key("created", TIME, "created", "The image's time.", "2026-01-31T00:00:00Z"),
        Key("author", TEXT, "author", "The author.", '"The shop team"'),
        Key("comment", TEXT, "comment", "A comment for the history.", '"nightly"'),
    )),
    ("What is taken from the base", (
        Key("unset-env", TEXTS, "unset_env", "Variables of the base to drop.", '["DEBUG"]'),
        Key("unset-labels", TEXTS, "unset_label", "Labels of the base to drop.", '["stage"]'),
        Key("unset-expose", PORTS, "unset_expose", "Ports of the base to drop.", "[80]"),
        Key("unset-volumes", TEXTS, "unset_volume", "Volumes of the base to drop.", '["/tmp"]'),
        Key("clear-entrypoint", FLAG, "clear_entrypoint", "Drop the base's entrypoint.", "true"),
        Key("clear-cmd", FLAG, "clear_cmd", "Drop the base's default arguments.", "true"),
        Key("clear-healthcheck", FLAG, "clear_healthcheck", "Drop the base's health check.",
            "true"),
        Key("clear-user", FLAG, "clear_user", "Drop the base's user.", "true"),
        Key("clear-workdir", FLAG, "clear_workdir", "Drop the base's working directory.", "true"),
        Key("ignore-onbuild", FLAG, "ignore_onbuild", "Drop the base's triggers.", "true"),
        Key("base-labels", FLAG, "base_labels", "Record the base's name and digest in labels.",
            "true"),
    )),
)  # fmt: skip
"""The keys of an image, as the page lists them."""

KEYS: Final = {key.name: key for _, keys in HEADINGS for key in keys}
"""All of them by name."""

ALIASES: Final = {"tag": "tags", "platform": "platforms"}
"""Another name for a key; an image has one of the two."""

LAYER_KEYS: Final = {
    key.name: key
    for key in (
        Key("source", PATH, "", "A directory, a tar archive or a file.", '"dist"'),
        Key("dest", TEXT, "", "Where it goes in the image. Without it, the root.", '"/opt/app"'),
        Key("exclude", TEXTS, "exclude", "Patterns of what is left out, beside the image's.",
            '["*.map"]'),
        Key("ignore-file", PATH, "ignore_file", "A file of such patterns.", '"web.ignore"'),
        Key("no-ignore-file", FLAG, "no_ignore_file", "Look for none in the source.", "true"),
    )
}  # fmt: skip
"""The keys of a table in ``layers``."""

MACHINE: Final = frozenset({
    "jobs", "cache_dir", "no_cache", "cache_limit", "check_contents", "explain",
    "dry_run", "as_json", "metadata_file", "iidfile", "load", "engine",
    "plain_http", "tls_verify", "ca_file", "cert_dir", "creds", "password_stdin",
    "trust_realm", "retries", "timeout",
})  # fmt: skip
"""Options of ``build`` that are no keys: they are about the machine and the run."""

PUSH: Final = frozenset({
    "push", "mount_from", "no_mount", "schema1", "schema1_tag", "signing_key",
    "allow_nondistributable", "chunk_size", "no_resume",
})  # fmt: skip
"""Those that say how to push: ``push`` has more of them, and there is no key for one."""

CONTRARY: Final = {
    "ignore_file": "no_ignore_file",
    "no_ignore_file": "ignore_file",
    "base": "diff_from",
    "diff_from": "base",
    "clear_entrypoint": "entrypoint",
    "clear_cmd": "cmd",
    "clear_healthcheck": "healthcheck_cmd",
    "clear_user": "user",
    "clear_workdir": "workdir",
}
"""An option, and what the file says that is void when it is given."""
