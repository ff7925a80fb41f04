"""Nouns are frozen, closed and plain JSON; the identifiers and releases made from them mean what they say."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from soc_deploy_mcp.core.canonical import digest
from soc_deploy_mcp.core.config import Config, ServiceSpec
from soc_deploy_mcp.core.event import Notice
from soc_deploy_mcp.core.release import Artifact, Release, Target
from soc_deploy_mcp.core.request import Caller, Request, same_request

SPEC = ServiceSpec.model_validate({"run": ["serve", "{port}"]})
WHO = Caller(kind="cli", subject="uid:1000", project="/srv/shop")


def artifact(content: str = "one", **change: str) -> Artifact:
    made = Artifact(kind="git", source="/srv/shop", commit="c" * 40, digest=digest(content), provenance="git commit")
    return made.model_copy(update=change)


def release(version: str = "v1.0.0", content: str = "one", spec: ServiceSpec = SPEC) -> Release:
    return Release(version=version, artifact=artifact(content), spec=spec)


# --- nouns


def test_a_noun_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Notice(level="note", text="a").text = "b"  # type: ignore[misc]


def test_a_key_that_a_noun_does_not_know_is_an_error_and_not_lost() -> None:
    with pytest.raises(ValidationError, match="extra"):
        Target.from_json({"project": "/srv/shop", "service": "shop", "environment": "prod", "zone": "a"})


def test_a_noun_survives_json() -> None:
    made = release(spec=SPEC.model_copy(update={"migrations": ()}))
    assert Release.from_json(json.loads(json.dumps(made.to_json()))) == made


# --- identifiers


def test_the_id_of_a_target_depends_on_project_service_and_environment() -> None:
    made = {
        Target(project=p, service=s, environment=e).id
        for p in ("/a", "/b")
        for s in ("x", "y")
        for e in ("dev", "prod")
    }
    assert len(made) == 8
    assert all(len(each) == 12 and int(each, 16) >= 0 for each in made)


def test_parts_of_a_target_cannot_run_into_each_other() -> None:
    one = Target(project="/srv/a", service="b", environment="dev")
    other = Target(project="/srv/", service="ab", environment="dev")
    assert one.id != other.id


_versions = st.from_regex(r"v\d{1,3}\.\d{1,3}\.\d{1,3}(-[a-z0-9.]{1,8})?(\+[a-z0-9.]{1,8})?", fullmatch=True)


@given(_versions)
def test_a_slug_names_a_file_and_a_metric(version: str) -> None:
    slug = release(version).slug
    assert slug.replace("_", "").replace("-", "").isalnum()
    assert "." not in slug
    assert slug.count("-") == 1


def test_the_same_build_with_the_same_configuration_is_the_same_release_whoever_fetched_it() -> None:
    elsewhere = Release(version="v1.0.0", artifact=artifact(source="/tmp/clone", provenance="another"), spec=SPEC)
    assert elsewhere.identity == release().identity
    assert elsewhere.slug == release().slug


def test_other_content_or_another_configuration_is_another_release() -> None:
    slower = SPEC.model_copy(update={"drain_s": 31})
    slugs = {release().slug, release(content="two").slug, release(spec=slower).slug}
    assert len(slugs) == 3


def test_every_setting_of_a_service_is_part_of_the_identity() -> None:
    """What can change what runs must not change in silence."""
    text = 'services: {shop: {run: [serve, "{port}"], environments: {prod: {instances: 3}}}}\n'
    config = Config.read(text)
    dev, prod = (config.settings("shop", env).spec for env in ("dev", "prod"))
    assert release(spec=dev).identity != release(spec=prod).identity


# --- equal requests


def test_an_equal_request_of_the_same_person_and_project_is_the_same() -> None:
    asked = Request(action="deploy", environment="prod", version="v1.0.0")
    noted = asked.model_copy(update={"notes": ("“ was read as a quote",)})
    from_a_chat = WHO.model_copy(update={"kind": "mcp", "client": "some client 1.0"})
    assert same_request(asked, WHO) == same_request(noted, from_a_chat)


@pytest.mark.parametrize(
    "change",
    [{"version": "v1.0.1"}, {"environment": "dev"}, {"dry_run": True}, {"skip_tests": True}, {"reason": "because"}],
)
def test_a_request_that_says_anything_else_is_another(change: dict[str, object]) -> None:
    asked = Request(action="deploy", environment="prod", version="v1.0.0")
    assert same_request(asked, WHO) != same_request(asked.model_copy(update=change), WHO)


def test_another_persons_or_projects_request_is_another() -> None:
    asked = Request(action="deploy", environment="prod", version="v1.0.0")
    keys = {
        same_request(asked, WHO),
        same_request(asked, WHO.model_copy(update={"subject": "uid:1001"})),
        same_request(asked, WHO.model_copy(update={"project": "/srv/other"})),
    }
    assert len(keys) == 3
