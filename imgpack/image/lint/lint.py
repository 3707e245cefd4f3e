"""All rules for an image, or those of files for a tree."""

from collections.abc import Callable, Iterable

from imgpack.errors import brief
from imgpack.image.files.files import ImageFiles
from imgpack.image.lint.configuration import check_configuration, check_passwords
from imgpack.image.lint.contents import Texts, check_layers, check_tree
from imgpack.image.lint.entries import EntryCheck, of_image, of_tree
from imgpack.image.lint.findings import Linted, LintFindings, LintIgnore
from imgpack.image.lint.program import ProgramCheck
from imgpack.tree.below import Below, Laid
from imgpack.tree.tree import Tree


def lint_image(
    files: ImageFiles, ignored: Iterable[LintIgnore], scratch: Callable[[], str]
) -> Linted:
    """What the rules find in an image, but for what is ``ignored``.

    ``scratch`` finds a directory for copies of programs. Raises what reading layers does.
    """
    findings = LintFindings(ignored)
    config = files.image.config
    check = EntryCheck(findings)
    texts = Texts(len(files.tables))
    for one in of_image(files):
        check.look(one)
        texts.look(one)
    for number, table in enumerate(files.tables):
        for remark in table.remarks:
            findings.add(
                "duplicate-path", f"/{brief(remark.path)} {remark.what}", remark.path, number
            )
    check_configuration(files.image, Below((Laid(files),)), findings)
    if config.platform.os == "linux":
        ProgramCheck(files, config.config, findings, scratch(), check.configured).run()
    if not findings.ignores("secret-content"):
        check_layers(files, texts, findings)
    for platform in files.others:
        findings.unchecked(f"{platform}: the image for {config.platform} is looked at")
    return findings.end()


def lint_tree(tree: Tree, ignored: Iterable[LintIgnore]) -> Linted:
    """What the rules of files find in ``tree``. Raises as ``Tree.entries``."""
    findings = LintFindings(ignored)
    check = EntryCheck(findings)
    for one in of_tree(tree):
        check.look(one)
    check_passwords(Below((Laid(tree),)), findings)
    if not findings.ignores("secret-content"):
        check_tree(tree, findings)
    return findings.end()
