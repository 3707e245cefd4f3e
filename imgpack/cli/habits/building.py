"""Options of other builders' ``build``: docker, buildx, podman and buildah, and their kin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_NO_DOCKERFILE: Final = "there is no Dockerfile: each SRC is a directory that becomes a layer"
_NOTHING_RUNS: Final = (
    "nothing is run in a build: run the steps before, and give what they leave as SRC"
)
_NO_STEPS: Final = "there are no steps and no stages: each SRC is a directory that becomes a layer"
_CACHE: Final = "the cache is a directory: --cache-dir DIR, which a CI job can save"
_NO_RECORDS: Final = "neither SBOM nor provenance is made; --metadata-file FILE has every digest"
_UNCOMPRESSED: Final = "say --compression none, or another form of it"
_NAME: Final = "-t NAME:TAG names the image"
_WHITEOUT: Final = "--whiteout PATH deletes a path of the base"
_VOLUME: Final = "nothing is mounted: a tree is a SRC:/dest, and --volume PATH declares a volume"
_OWNERS: Final = "--idmap CONTAINER:HOST:SIZE maps owners on disk to those in the image"

_OF_RUNNING: Final = (
    "--add-host", "--allow", "--build-arg", "--cap-add", "--cap-drop", "--cgroup-parent",
    "--cgroupns", "--cpp-flag", "--cpu-period", "--cpu-quota", "--cpu-shares", "--cpuset-cpus",
    "--cpuset-mems", "--device", "--dns", "--dns-option", "--dns-search", "--hooks-dir",
    "--http-proxy", "--ipc", "--isolation", "--memory", "-m", "--memory-swap", "--network",
    "--no-hostname", "--no-hosts", "--pid", "--privileged", "--runtime", "--runtime-flag",
    "--secret", "--security-opt", "--shm-size", "--ssh", "--stdin", "--ulimit", "--uts",
)  # fmt: skip
_OF_STEPS: Final = (
    "--build-context", "--call", "--check", "--force-rm", "--layers", "--no-cache-filter",
    "--single-snapshot", "--skip-unused-stages", "--target", "--use-new-run", "--cleanup",
)  # fmt: skip

OPTIONS: Final[Mapping[str, str]] = {
    **dict.fromkeys(_OF_RUNNING, _NOTHING_RUNS),
    **dict.fromkeys(_OF_STEPS, _NO_STEPS),
    **dict.fromkeys(
        ("--cache", "--cache-from", "--cache-to", "--cache-ttl", "--cache-repo",
         "--compressed-caching"), _CACHE,
    ),
    **dict.fromkeys(("--attest", "--provenance", "--sbom"), _NO_RECORDS),
    **dict.fromkeys(("--compress", "-D", "--disable-compression"), _UNCOMPRESSED),
    **dict.fromkeys(
        ("--name", "-n", "--image", "--image-name", "--new_tag", "--repo", "--to-image",
         "--additional-tags", "--bare", "-B", "--base-import-paths", "-P",
         "--preserve-import-paths", "--tag-only"), _NAME,
    ),
    **dict.fromkeys(("--delete", "--remove"), _WHITEOUT),
    **dict.fromkeys(
        ("--userns", "--userns-gid-map", "--userns-gid-map-group", "--userns-uid-map",
         "--userns-uid-map-user", "--uidmap", "--gidmap"), _OWNERS,
    ),
    "--dockerfile": _NO_DOCKERFILE,
    "--dockerfile-inline": _NO_DOCKERFILE,
    "--context": _NO_DOCKERFILE,
    "--rm": f"nothing is run, so nothing is left of it; {_WHITEOUT}",
    "--save": "it is an archive already, and -o FILE says which",
    "--local": "say --load",
    "--builder": "there is no daemon and no builder: a build is this process",
    **dict.fromkeys(("--base", "-b", "--base-image", "--from-image"),
                    "--from BASE is the image to build on"),
    "--form": "did you mean --from?",
    "--lock": "--from LOCK builds on what is locked: imgpack base lock BASE -o base.lock",
    "--pull": "a base in a registry is looked up at each build, unless --from names a lock",
    "--env-file": "-e NAME=VALUE sets a variable, and there is no file of them",
    "--unsetenv": "say --unset-env NAME",
    "--unsetlabel": "say --unset-label KEY",
    "--inherit-labels": "labels of the base stay, without those of --unset-label KEY",
    "--inherit-annotations": "annotations of the base stay with the base",
    "--identity-label": "no label is added but those of --label KEY=VALUE",
    "--image-label": "say --label KEY=VALUE",
    "--omit-history": "one entry a layer is written, and --comment TEXT says what is in it",
    "--ignore": "--ignore-file FILE says what is left out, and --exclude PATTERN what else",
    "--ignorefile": "--ignore-file FILE says what is left out, and --exclude PATTERN what else",
    "--squash-all": "the layers of a base, too: imgpack flatten IMAGE -o FILE.tar",
    "--new_layer": "a tar that is a layer as it is: --raw-layer FILE",
    "--append": "a tar that is a layer as it is: --raw-layer FILE",
    "--image-refs": "the names are printed, and --metadata-file FILE has them, too",
    **dict.fromkeys(
        ("--digest-file", "--digestfile", "--image-name-with-digest-file",
         "--image-name-tag-with-digest-file", "--image-metadata-out"),
        "NAME@DIGEST is printed, and --metadata-file FILE has it, too",
    ),
    "--logfile": "say 2> FILE, and --verbose for more",
    "--logsplit": "say 2> FILE, and --verbose for more",
    "--manifest": "images are joined by: imgpack index create REF --add REF",
    "--all-platforms": "name each, with what is its own: --platform OS/ARCH=SRC",
    **dict.fromkeys(("--set-platform", "--custom-platform"), "say --platform OS/ARCH"),
    "--os-version": "say --platform OS/ARCH; a version of Windows comes from the base",
    "--os-feature": "say --platform OS/ARCH; features of Windows come from the base",
    "-p": "--expose PORT documents a port",
    "--port": "--expose PORT documents a port",
    "--publish": "--expose PORT documents a port",
    "--exposed-ports": "--expose PORT documents a port",
    "--mount": _VOLUME,
    "--bind": _VOLUME,
    "--type": "--format chooses docker or oci",
    "--oci": "say --format oci",
    "--docker": "say --format docker, which is the default",
    "-c": "--cmd says what is run",
    "-C": "--cmd says what is run; a directory is entered by cd",
    "--command": "--cmd says what is run",
    "--args": "--cmd says what is run",
    "--program-args": "--cmd says what is run",
    **dict.fromkeys(("--environment", "--environment-variables"), "say -e NAME=VALUE"),
    **dict.fromkeys(("--working-dir", "--working-directory"), "say --workdir PATH"),
    "--ports": "--expose PORT documents a port",
    "--creation-time": "say --created TIME, or SOURCE_DATE_EPOCH",
    "--image-format": "say --format oci",
    "--image-user": "say -u USER",
    "--sbom-dir": _NO_RECORDS,
    "--log-format": "--progress json is for programs",
    "--verbosity": "--quiet says less and --verbose more",
    **dict.fromkeys(("--ignore-path", "--exclude-from"),
                    "--ignore-file FILE says what is left out, and --exclude PATTERN what else"),
    "--hostname": "a host name belongs to a container, not to an image",
    "--restart": "a restart policy belongs to a container, not to an image",
    "--health-cmd": "say --healthcheck-cmd COMMAND",
    "--health-interval": "say --healthcheck-interval TIME",
    "--health-retries": "say --healthcheck-retries N",
    "--health-timeout": "say --healthcheck-timeout TIME",
    "--health-start-period": "say --healthcheck-start-period TIME",
    "--no-healthcheck": "say --healthcheck-cmd NONE",
    "--maintainer": "say --author TEXT",
    "--message": "say --comment TEXT",
    "--change": "say --env NAME=VALUE, --cmd WORDS and so on, as for a Dockerfile's instructions",
    "--timestamp": "--mtime and --created set times, and SOURCE_DATE_EPOCH bounds them",
    "--source-date-epoch": "--mtime and --created set times, and SOURCE_DATE_EPOCH bounds them",
    "--rewrite-timestamp": "--mtime and --created set times, and SOURCE_DATE_EPOCH bounds them",
    "--reproducible": "it is so always, if the times are: SOURCE_DATE_EPOCH, or --mtime TIME",
    "--snapshot-mode": "--check-contents reads every file, even if nothing changed",
    "--compression-level": "it follows a colon: --compression zstd:12",
    "--compression-format": "say --compression zstd",
    "--force-compression": "the layers of a base are kept: imgpack flatten IMAGE -o FILE.tar",
    "--destination": "-o FILE writes an archive; --push sends it to its names, which -t gives",
    "-d": "-o FILE writes an archive; --push sends it to its names, which -t gives",
    **dict.fromkeys(("--tar-path", "--tarPath"), "say -o FILE"),
    "--tarball": "say -o FILE.tar",
    "--oci-layout-path": "say -o DIR/",
    "--no-push": "nothing is pushed without --push",
}  # fmt: skip
"""What ``build`` has not, and what to do instead."""
