"""A secret typed into the file is refused before anything of it is kept."""

import pytest

from soc_deploy_mcp.core.config import Config
from soc_deploy_mcp.core.config.plain_secrets import refuse_secrets
from soc_deploy_mcp.core.errors import DeployError
from soc_deploy_mcp.core.redaction import Redactor

KNOWN = "correct horse battery"


def refuse(body: str) -> None:
    config = Config.read(f'services: {{shop: {{run: [serve, "{{port}}"], {body}}}}}')
    refuse_secrets("shop", config.settings("shop", "prod").spec, Redactor([KNOWN]))


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ("env: {API_TOKEN: aVeryPlainSecret}", "services.shop.env.API_TOKEN"),
        (f"env: {{GREETING: {KNOWN}}}", "services.shop.env.GREETING"),
        ("env: {DATABASE: 'postgres://shop:hunter22@db/shop'}", "services.shop.env.DATABASE"),
        ("prepare: [[setup, --password, hunter22]], env: {A: AKIAABCDEFGHIJKLMNOP}", "services.shop.env.A"),
        ("prepare: [[setup, --password=hunter22]]", "services.shop.prepare.0.1"),
        ("migrations: [{id: a, run: [m, 'password=hunter22']}]", "services.shop.migrations.0.run.1"),
    ],
)
def test_a_secret_in_the_settings_is_refused_by_its_key_and_not_shown(body, key):
    with pytest.raises(DeployError) as refused:
        refuse(body)
    assert (refused.value.code, key in refused.value.what) == ("E_CONFIG", True)
    assert "secrets" in refused.value.try_
    assert not any(secret in str(refused.value) for secret in ("aVeryPlain", KNOWN, "hunter22", "AKIA"))


@pytest.mark.parametrize(
    "body",
    [
        "env: {LOG_LEVEL: info, TOKENIZER: words, TOKEN_TTL: '3600', PASSWORD_FILE: /run/secrets/db}",
        "secrets: {API_TOKEN: 'env:API_TOKEN', DB: 'file:/run/secrets/db'}",
        "prepare: [[pip, install, -r, requirements.txt]], health: {path: /healthz}",
    ],
)
def test_settings_without_a_secret_pass(body):
    refuse(body)
