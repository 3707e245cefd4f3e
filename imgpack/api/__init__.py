"""The public Python API: what images are made of, read from and written to.

``import imgpack`` gives these names and loads what they need when they are called;
what talks to registries is imported when it is first asked for by name.
Nothing here reads the environment: credentials, proxies, caches and clocks are given.
Errors are those of ``imgpack.errors``; mistakes of the program itself (one name for names,
no jobs, a second write) are Python's own. Progress goes to a ``Reporter``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgpack.api.bases import open_base, open_bases
from imgpack.api.images import build, build_prepared, prepare
from imgpack.api.layers import (
    difference,
    directory,
    entries,
    mtree,
    planned,
    raw_layer,
    read_file,
    single_file,
    tarball,
)
from imgpack.api.locations import copy, create, delete, open, open_blob, push, pushing, tags
from imgpack.errors import ImgpackError
from imgpack.events import ExpectingMeter, Meter, Reporter
from imgpack.names import resolve

if TYPE_CHECKING:
    from imgpack.api.comparison import ComparedLocations, compare
    from imgpack.api.edited import append, configure, recompress, replace_image, tag
    from imgpack.api.engines import find_engine, load, loading
    from imgpack.api.files import open_files
    from imgpack.api.locks import fetch_base, lock_base, update_lock
    from imgpack.api.remade import flatten, rebase
    from imgpack.api.unpacked import export, extract
    from imgpack.api.verification import lint, verify
    from imgpack.compression.codec import Codec
    from imgpack.credentials.files import credential_store
    from imgpack.credentials.lookup import (
        Credential,
        CredentialFile,
        CredentialSource,
        CredentialStore,
        Given,
    )
    from imgpack.engine.loading import Engine, Loaded
    from imgpack.image.annotate import annotated
    from imgpack.image.base.findings import Finding, OnNewBase
    from imgpack.image.base.lock import Lock, LockedImage
    from imgpack.image.base.locked import is_lock, read_lock
    from imgpack.image.base.moved import Moved, moved
    from imgpack.image.build import Base, ImageBuild, Placement
    from imgpack.image.check.problems import (
        CheckedImage,
        ImageCheck,
        ImageProblem,
        ProblemLevel,
        TreeMismatch,
        Verification,
    )
    from imgpack.image.check.verify import Against
    from imgpack.image.compare.causes import field_text
    from imgpack.image.compare.images import ComparedImages
    from imgpack.image.compare.scope import ComparisonScope, Ignored, Section
    from imgpack.image.compare.sides import ComparedSide
    from imgpack.image.compare.texts import TextDifferences
    from imgpack.image.compare.values import (
        Cause,
        CauseKind,
        DocumentDifferences,
        FieldDifference,
        FileDifference,
        LayerDifference,
        LayerMatch,
        Presence,
    )
    from imgpack.image.describe import (
        ImageStep,
        described,
        image_id,
        image_steps,
        published_names,
        recorded,
        total_size,
    )
    from imgpack.image.files.extract import Extracted
    from imgpack.image.files.files import FileContent, ImageFiles
    from imgpack.image.files.owners import OwnerNames, owner_names
    from imgpack.image.files.paths import find_path
    from imgpack.image.files.together import read_together
    from imgpack.image.files.usage import (
        DeletedDirectory,
        DirectoryUsage,
        DuplicateFiles,
        HiddenFile,
        ImageUsage,
        LayerUsage,
        image_usage,
    )
    from imgpack.image.image import (
        AnyImage,
        Artifact,
        BlobSource,
        Image,
        ImageIndex,
        ImageSink,
        LayerSink,
        Named,
        Opaque,
        Published,
        ReadableSink,
        images_in,
        missing_layers,
        refuse_foreign,
    )
    from imgpack.image.join import join
    from imgpack.image.lint.findings import Linted, LintFinding, LintIgnore
    from imgpack.image.lint.rules import LintLevel, LintRule
    from imgpack.image.lint.sarif import lint_sarif
    from imgpack.image.location import (
        holds_images,
        is_layout,
        is_path,
        is_spelled_path,
        parse_reference,
        remote_name,
        target_name,
        writable_name,
    )
    from imgpack.image.opened import Opened, Root
    from imgpack.image.report.page import report_page
    from imgpack.image.schema1 import schema1_name, schema1_payload
    from imgpack.image.verify import verify_images
    from imgpack.layer.build import Built, Explain
    from imgpack.layer.cache.record import Written
    from imgpack.layer.cache.segments import SegmentCache
    from imgpack.layer.raw import RawLayer
    from imgpack.layer.stages import Treatment
    from imgpack.project.annotations import project_annotations
    from imgpack.registry.http.endpoint import SessionOptions
    from imgpack.registry.http.retry import RetryPolicy
    from imgpack.registry.http.tls import TlsOptions
    from imgpack.registry.http.transport import TransportOptions
    from imgpack.registry.pull.image import fetch_schema1
    from imgpack.registry.push.dry_run import PushStep, dry_run
    from imgpack.registry.push.journal import UploadJournal
    from imgpack.registry.push.mount import mount_repositories
    from imgpack.registry.push.plan import Schema1Options
    from imgpack.registry.push.push import PushOptions, RegistrySink
    from imgpack.registry.registries import Registries
    from imgpack.spec.annotations import Annotation, AnnotationPlace, Annotations
    from imgpack.spec.config import ImageConfig
    from imgpack.spec.descriptor import Descriptor
    from imgpack.spec.digest import Digest
    from imgpack.spec.format import Format
    from imgpack.spec.layer import Layer
    from imgpack.spec.manifest import Index, Manifest
    from imgpack.spec.merge.changes import RuntimeChanges
    from imgpack.spec.platform import Platform
    from imgpack.spec.reference import Reference, parse_name
    from imgpack.spec.runtime import Healthcheck, Ports, Runtime
    from imgpack.tree.destination import Placed
    from imgpack.tree.disk.directory import Directory
    from imgpack.tree.disk.snapshot import Change
    from imgpack.tree.entries import (
        Entries,
        block_device,
        character_device,
        directory_entry,
        fifo,
        file,
        hard_link,
        symlink,
    )
    from imgpack.tree.entry import Entry
    from imgpack.tree.exclusion import Exclusion, ExclusionRule, LeftOut
    from imgpack.tree.inputs.fakeroot import fakeroot_state
    from imgpack.tree.inputs.mtree.specification import Overrides, specification
    from imgpack.tree.inputs.mtree.tree import MtreeTree
    from imgpack.tree.inputs.overlay import UpperDirectory, upper_directory
    from imgpack.tree.inputs.single_file import SingleFile
    from imgpack.tree.inputs.tarball import Tarball
    from imgpack.tree.merge.difference import Counts, Difference
    from imgpack.tree.merge.whiteouts import Whiteouts, whiteouts
    from imgpack.tree.rules.filtered import Filtered
    from imgpack.tree.rules.ignore import Ignore, ignore
    from imgpack.tree.rules.ignore_file import find_ignore_file
    from imgpack.tree.rules.parse import RuleKind, parse_rule, time_rule
    from imgpack.tree.rules.reading import IdMap, Reading
    from imgpack.tree.rules.rules import Rule, RuleList
    from imgpack.tree.rules.split import Group, split
    from imgpack.tree.tables.applied import LayerRow, RowContent
    from imgpack.tree.tables.rows import TableRow
    from imgpack.tree.tables.table import LayerTable
    from imgpack.tree.transform import ClampTime, SetOwner, SetTime, Transform
    from imgpack.tree.tree import Tree

__all__ = [
    "Against", "Annotation", "AnnotationPlace", "Annotations", "AnyImage", "Artifact", "Base",
    "BlobSource", "Built", "Cause", "CauseKind", "Change", "CheckedImage", "ClampTime", "Codec",
    "ComparedImages", "ComparedLocations", "ComparedSide", "ComparisonScope", "Counts",
    "Credential", "CredentialFile", "CredentialSource", "CredentialStore", "DeletedDirectory",
    "Descriptor",
    "Difference", "Digest", "Directory", "DirectoryUsage", "DocumentDifferences", "DuplicateFiles",
    "Engine", "Entries", "Entry", "Exclusion", "ExclusionRule", "ExpectingMeter", "Explain",
    "Extracted", "FieldDifference", "FileContent", "FileDifference", "Filtered", "Finding",
    "Format", "Given", "Group", "Healthcheck", "HiddenFile", "IdMap", "Ignore", "Ignored", "Image",
    "ImageBuild", "ImageCheck", "ImageConfig", "ImageFiles", "ImageIndex", "ImageProblem",
    "ImageSink", "ImageStep", "ImageUsage", "ImgpackError", "Index", "Layer", "LayerDifference",
    "LayerMatch", "LayerRow", "LayerSink", "LayerTable", "LayerUsage", "LeftOut", "LintFinding",
    "LintIgnore", "LintLevel", "LintRule", "Linted", "Loaded", "Lock", "LockedImage", "Manifest",
    "Meter", "Moved", "MtreeTree", "Named", "OnNewBase", "Opaque", "Opened", "Overrides",
    "OwnerNames", "Placed", "Placement", "Platform", "Ports", "Presence", "ProblemLevel",
    "Published", "PushOptions", "PushStep", "RawLayer", "ReadableSink", "Reading", "Reference",
    "Registries", "RegistrySink", "Reporter", "RetryPolicy", "Root", "RowContent", "Rule",
    "RuleKind", "RuleList", "Runtime", "RuntimeChanges", "Schema1Options", "Section",
    "SegmentCache", "SessionOptions", "SetOwner", "SetTime", "SingleFile", "TableRow", "Tarball",
    "TextDifferences", "TlsOptions", "Transform", "TransportOptions", "Treatment", "Tree",
    "TreeMismatch", "UploadJournal", "UpperDirectory", "Verification", "Whiteouts", "Written",
    "annotated", "append", "block_device", "build", "build_prepared", "character_device", "compare",
    "configure", "copy", "create", "credential_store", "delete", "described", "difference",
    "directory", "directory_entry", "dry_run", "entries", "export", "extract", "fakeroot_state",
    "fetch_base", "fetch_schema1", "field_text", "fifo", "file", "find_engine", "find_ignore_file",
    "find_path", "flatten", "hard_link", "holds_images", "ignore", "image_id", "image_steps",
    "image_usage", "images_in", "is_layout", "is_lock", "is_path", "is_spelled_path", "join",
    "lint", "lint_sarif",
    "load", "loading", "lock_base", "missing_layers", "mount_repositories", "moved", "mtree",
    "open", "open_base", "open_bases", "open_blob", "open_files", "owner_names", "parse_name",
    "parse_reference", "parse_rule", "planned", "prepare", "project_annotations", "published_names",
    "push", "pushing", "raw_layer", "read_file", "read_lock", "read_together", "rebase",
    "recompress", "recorded", "refuse_foreign", "remote_name", "replace_image", "report_page",
    "schema1_name", "schema1_payload", "single_file", "specification", "split", "symlink", "tag",
    "tags", "tarball", "target_name", "time_rule", "total_size", "update_lock", "upper_directory",
    "verify", "verify_images", "whiteouts", "writable_name",
]  # fmt: skip


if not TYPE_CHECKING:  # a type checker would take any name for one that is there

    def __getattr__(name: str) -> Any:
        found = globals()[name] = resolve(name)
        return found
