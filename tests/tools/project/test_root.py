"""Where the project is, and its file."""

import os

import pytest

from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.tools.project.root import find_root, read_text

VALID = 'services: {shop: {run: ["x", "{port}"]}}\n'


@pytest.fixture
def tree(tmp_path):
    """A repository with a service below it that has a file of its own."""
    (tmp_path / "repo" / ".git").mkdir(parents=True)
    (tmp_path / "repo" / "shop" / "src").mkdir(parents=True)
    (tmp_path / "repo" / "docs").mkdir()
    (tmp_path / "repo" / "shop" / "soc-deploy.yaml").write_text(VALID)
    return tmp_path / "repo"


def test_the_nearest_file_or_repository_upwards(tree):
    assert find_root(tree / "shop" / "src", {}) == tree / "shop"
    assert find_root(tree / "shop", {}) == tree / "shop"
    assert find_root(tree / "docs", {}) == tree
    assert find_root(tree, {}) == tree


def test_a_worktree_has_a_file_named_git(tree):
    (tree / "docs" / ".git").write_text("gitdir: elsewhere")
    assert find_root(tree / "docs", {}) == tree / "docs"


def test_without_either_it_is_where_one_stands(tmp_path):
    (tmp_path / "plain").mkdir()
    assert find_root(tmp_path / "plain", {}) == tmp_path / "plain"


def test_a_client_may_name_it(tree, tmp_path):
    assert find_root(tmp_path, {"CLAUDE_PROJECT_DIR": str(tree / "shop" / "src")}) == tree / "shop" / "src"
    assert find_root(tree / "docs", {"CLAUDE_PROJECT_DIR": str(tree / "missing")}) == tree
    assert find_root(tree / "docs", {"CLAUDE_PROJECT_DIR": ""}) == tree


def test_links_are_resolved(tree, tmp_path):
    (tmp_path / "link").symlink_to(tree / "shop")
    assert find_root(tmp_path / "link" / "src", {}) == tree / "shop"


def test_the_file_is_read(tree):
    assert read_text(tree / "shop") == VALID
    (tree / "shop" / "soc-deploy.yaml").write_bytes(b"\xef\xbb\xbf" + VALID.encode())
    assert read_text(tree / "shop") == VALID


def refused(root):
    with pytest.raises(DeployError) as caught:
        read_text(root)
    return caught.value


def test_without_a_file_init_is_named(tree):
    error = refused(tree)
    assert (error.code, error.try_) == ("E_CONFIG_MISSING", "soc-deploy init")


@pytest.mark.parametrize(
    ("data", "says"),
    [(b"a: 1\nb: \xff\n", "line 2: not UTF-8"), (b"x" * 1_000_001, "larger than")],
)
def test_a_file_that_cannot_be_read_says_why(tree, data, says):
    (tree / "soc-deploy.yaml").write_bytes(data)
    error = refused(tree)
    assert error.code == "E_CONFIG"
    assert says in error.what


def test_a_directory_in_its_place(tree):
    os.mkdir(tree / "soc-deploy.yaml")
    assert "is a directory" in refused(tree).what
