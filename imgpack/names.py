"""Where the public names lie that ``imgpack.api`` gives: a module is imported for the first
of its names that is asked for, so that nothing is loaded that is not used.
"""

import importlib
from typing import Any, Final

_HOMES: Final = {
    "api.files": "open_files",
    "api.comparison": "ComparedLocations compare",
    "api.edited": "append configure recompress replace_image tag",
    "api.engines": "find_engine load loading",
    "api.verification": "lint verify",
    "api.locks": "fetch_base lock_base update_lock",
    "api.remade": "flatten rebase",
    "api.unpacked": "export extract",
    "compression.codec": "Codec",
    "credentials.files": "credential_store",
    "credentials.lookup": "Credential CredentialFile CredentialSource CredentialStore Given",
    "engine.loading": "Engine Loaded",
    "image.base.findings": "Finding OnNewBase",
    "image.base.lock": "Lock LockedImage",
    "image.base.locked": "is_lock read_lock",
    "image.base.moved": "Moved moved",
    "image.annotate": "annotated",
    "image.build": "Base ImageBuild Placement",
    "image.compare.causes": "field_text",
    "image.compare.texts": "TextDifferences",
    "image.compare.images": "ComparedImages",
    "image.compare.scope": "ComparisonScope Ignored Section",
    "image.compare.sides": "ComparedSide",
    "image.compare.values": "Cause CauseKind DocumentDifferences FieldDifference FileDifference"
    " LayerDifference LayerMatch Presence",
    "image.check.problems": "CheckedImage ImageCheck ImageProblem ProblemLevel TreeMismatch"
    " Verification",
    "image.check.verify": "Against",
    "image.describe": "ImageStep described image_id image_steps published_names recorded"
    " total_size",
    "image.files.extract": "Extracted",
    "image.files.files": "FileContent ImageFiles",
    "image.files.owners": "OwnerNames owner_names",
    "image.files.paths": "find_path",
    "image.files.together": "read_together",
    "image.files.usage": "DeletedDirectory DirectoryUsage DuplicateFiles HiddenFile ImageUsage"
    " LayerUsage image_usage",
    "image.image": "AnyImage Artifact BlobSource Image ImageIndex ImageSink LayerSink Named Opaque"
    " Published ReadableSink images_in missing_layers refuse_foreign",
    "image.join": "join",
    "image.lint.findings": "LintFinding LintIgnore Linted",
    "image.lint.rules": "LintLevel LintRule",
    "image.lint.sarif": "lint_sarif",
    "image.location": "holds_images is_layout is_path is_spelled_path parse_reference"
    " remote_name target_name writable_name",
    "image.opened": "Opened Root",
    "image.report.page": "report_page",
    "image.schema1": "schema1_name schema1_payload",
    "image.verify": "verify_images",
    "layer.build": "Built Explain",
    "layer.cache.record": "Written",
    "layer.cache.segments": "SegmentCache",
    "layer.stages": "Treatment",
    "layer.raw": "RawLayer",
    "project.annotations": "project_annotations",
    "registry.http.endpoint": "SessionOptions",
    "registry.http.retry": "RetryPolicy",
    "registry.http.tls": "TlsOptions",
    "registry.http.transport": "TransportOptions",
    "registry.pull.image": "fetch_schema1",
    "registry.push.dry_run": "PushStep dry_run",
    "registry.push.journal": "UploadJournal",
    "registry.push.mount": "mount_repositories",
    "registry.push.plan": "Schema1Options",
    "registry.push.push": "PushOptions RegistrySink",
    "registry.registries": "Registries",
    "spec.annotations": "Annotation AnnotationPlace Annotations",
    "spec.config": "ImageConfig",
    "spec.descriptor": "Descriptor",
    "spec.digest": "Digest",
    "spec.format": "Format",
    "spec.layer": "Layer",
    "spec.manifest": "Index Manifest",
    "spec.merge.changes": "RuntimeChanges",
    "spec.platform": "Platform",
    "spec.reference": "Reference parse_name",
    "spec.runtime": "Healthcheck Ports Runtime",
    "tree.destination": "Placed",
    "tree.disk.directory": "Directory",
    "tree.entries": "Entries block_device character_device directory_entry fifo file hard_link"
    " symlink",
    "tree.entry": "Entry",
    "tree.exclusion": "Exclusion ExclusionRule LeftOut",
    "tree.rules.filtered": "Filtered",
    "tree.rules.ignore": "Ignore ignore",
    "tree.rules.ignore_file": "find_ignore_file",
    "tree.inputs.single_file": "SingleFile",
    "tree.inputs.tarball": "Tarball",
    "tree.disk.snapshot": "Change",
    "tree.inputs.fakeroot": "fakeroot_state",
    "tree.inputs.mtree.specification": "Overrides specification",
    "tree.inputs.mtree.tree": "MtreeTree",
    "tree.rules.reading": "IdMap Reading",
    "tree.rules.parse": "RuleKind parse_rule time_rule",
    "tree.rules.rules": "Rule RuleList",
    "tree.inputs.overlay": "UpperDirectory upper_directory",
    "tree.tables.applied": "LayerRow RowContent",
    "tree.merge.difference": "Counts Difference",
    "tree.tables.rows": "TableRow",
    "tree.tables.table": "LayerTable",
    "tree.merge.whiteouts": "Whiteouts whiteouts",
    "tree.rules.split": "Group split",
    "tree.transform": "ClampTime SetOwner SetTime Transform",
    "tree.tree": "Tree",
}
_HOME: Final = {name: home for home, names in _HOMES.items() for name in names.split()}


def resolve(name: str) -> Any:
    """What ``imgpack.api`` calls ``name``. Raises ``AttributeError``."""
    if name not in _HOME:
        raise AttributeError(f"module 'imgpack.api' has no attribute {name!r}")
    return getattr(importlib.import_module(f"imgpack.{_HOME[name]}"), name)
