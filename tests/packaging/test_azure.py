"""The deployment to Azure: Bicep that parses, and says what the app, its settings and the platform need.

There is no Bicep compiler among the packages; the parser is the one that Checkov uses.
"""

import json
import re
from typing import Any

import pytest

from shared.azurite import ROOT
from shared.settings import Settings
from tests.packaging.checkers import read_bicep, read_yaml

pytestmark = pytest.mark.unit

INFRA = ROOT / "infra"
GUIDE = ROOT / "docs" / "deploy.md"

NOT_OURS = {
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "AzureWebJobsDisableHomepage",
    "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT",
}
"""Settings of the host."""

REFUSED_ON_FLEX_CONSUMPTION = {
    "FUNCTIONS_EXTENSION_VERSION",
    "FUNCTIONS_WORKER_RUNTIME",
    "FUNCTIONS_WORKER_RUNTIME_VERSION",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "ENABLE_ORYX_BUILD",
    "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
    "WEBSITE_CONTENTSHARE",
    "WEBSITE_RUN_FROM_PACKAGE",
}
"""Other plans take these; here functionAppConfig says the same."""

ROLES = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",  # Storage Blob Data Owner
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88",  # Storage Queue Data Contributor
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",  # Storage Table Data Contributor
}


@pytest.fixture(scope="module")
def main() -> Any:
    return read_bicep(INFRA / "main.bicep")


@pytest.fixture(scope="module")
def resources() -> Any:
    return read_bicep(INFRA / "resources.bicep")


def config(resources: Any, name: str) -> Any:
    found = resources["resources"][name]["config"]
    return found.get("config", found)


def settings_of(resources: Any) -> dict[str, Any]:
    """All that may be set, whatever the parameters are."""
    union = config(resources, "functionApp__settings")["properties"]["function"]
    assert union["type"] == "union"
    always, sometimes = union["parameters"]["arg_1"], union["parameters"]["arg_2"]
    return {**always, **sometimes["operator"]["operands"]["true_value"]}


def test_parameters_are_handed_on_with_the_same_rules(main: Any, resources: Any) -> None:
    """main.bicep repeats the parameters of resources.bicep; its own are the name of the environment."""
    [module] = main["modules"].values()
    handed_on = module["config"]["params"]
    assert set(handed_on) == set(resources["parameters"])
    for name in set(handed_on) - {"location", "suffix", "tags"}:
        assert handed_on[name] == name
        assert main["parameters"][name] == resources["parameters"][name]
    assert set(main["parameters"]) - set(handed_on) == {"environmentName"}


def test_every_name_that_is_used_is_declared(main: Any, resources: Any) -> None:
    for file, tree in (("main.bicep", main), ("resources.bicep", resources)):
        text = (INFRA / file).read_text("utf-8")
        declared = {name.split("__")[-1] for kind in tree if kind != "globals" for name in tree[kind]}
        for name in re.findall(r"\$\{([a-zA-Z]+)[.}]", text):
            assert name in declared, f"{file}: {name}"
        for name in tree.get("parameters", {}):
            assert len(re.findall(rf"\b{name}\b", text)) > 1, f"{file}: {name} is not used"


def test_the_plan_and_its_limits(resources: Any) -> None:
    """Flex Consumption, Python 3.13, both bounds of scaling as parameters."""
    assert config(resources, "plan")["sku"] == {"tier": "FlexConsumption", "name": "FC1"}
    app = config(resources, "functionApp")["properties"]["functionAppConfig"]
    assert app["runtime"] == {"name": "python", "version": "3.13"}
    assert app["scaleAndConcurrency"] == {
        "maximumInstanceCount": "maximumInstanceCount",
        "instanceMemoryMB": "instanceMemoryMB",
        "triggers": {"http": {"perInstanceConcurrency": "perInstanceConcurrency"}},
    }
    defaults = {name: one["default"] for name, one in resources["parameters"].items() if "default" in one}
    assert (defaults["perInstanceConcurrency"], defaults["maximumInstanceCount"]) == (16, 40)
    assert app["deployment"]["storage"]["authentication"]["type"] == "UserAssignedIdentity"


def test_no_key_opens_the_storage(resources: Any) -> None:
    """And the identity has the roles that it needs, no more."""
    storage = config(resources, "storage")["properties"]
    assert storage["allowSharedKeyAccess"] is False
    assert storage["allowBlobPublicAccess"] is False
    assert storage["supportsHttpsTrafficOnly"] is True
    assert set(resources["variables"]["storageRoles"]["value"].values()) == ROLES
    assignments = [
        name for name, one in resources["resources"].items() if one["type"] == "Microsoft.Authorization/roleAssignments"
    ]
    assert sorted(assignments) == ["insightsRole", "storageRole"]
    assert config(resources, "storageRole")["scope"] == "storage"
    assert not [name for name in settings_of(resources) if name == "AzureWebJobsStorage"]
    assert not re.search(r"listKeys|AccountKey|SharedKey\w*=", (INFRA / "resources.bicep").read_text("utf-8"))


def test_settings_exist(resources: Any) -> None:
    """Each is one of the app or of the host; none that the plan refuses."""
    names = set(settings_of(resources))
    ours = {str(field.alias) for field in Settings.model_fields.values()}
    assert names - ours == NOT_OURS
    assert not names & REFUSED_ON_FLEX_CONSUMPTION


def test_settings_are_valid_together(resources: Any) -> None:
    """PLT-32, PLT-33, PLT-44: with the defaults of the parameters the app starts, and lets nobody in without a token"""
    texts = {name: value for name, value in settings_of(resources).items() if isinstance(value, str)}
    defaults = {
        name: one["default"] for name, one in resources["parameters"].items() if isinstance(one.get("default"), str)
    }
    known = {
        **defaults,
        "login": "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000",
        "tenant().tenantId": "00000000-0000-0000-0000-000000000000",
        "environment().suffixes.storage": "core.windows.net",
        "storage.name": "stexample",
    }
    filled = {
        name: re.sub(r"\$\{([^}]+)\}", lambda match: known.get(match[1], "x"), known.get(value, value))
        for name, value in texts.items()
    }
    filled["DICOM_AUTH_ROLE_ASSIGNMENTS"] = '{"id": ["DICOM Data Owner"]}'
    settings = Settings.model_validate(filled)
    assert settings.auth_mode == "strict"
    assert settings.auth_default_role == "none"
    assert settings.auth_issuers.split(",") == [
        "https://sts.windows.net/00000000-0000-0000-0000-000000000000/",
        "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000/v2.0",
    ]
    assert settings.blob_service_uri == "https://stexample.blob.core.windows.net"
    assert settings.auth_audiences == Settings.model_fields["auth_audiences"].default
    assert filled["FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"] == "4294967296"


def test_one_parameter_says_which_origins_may_call(resources: Any) -> None:
    """PLT-28"""
    assert settings_of(resources)["DICOM_CORS_ORIGINS"] == "corsOrigins"
    allowed = config(resources, "functionApp")["properties"]["siteConfig"]["cors"]["allowedOrigins"]
    split = allowed["operator"]["operands"]["false_value"]["function"]
    assert (split["type"], split["parameters"]["input_string"]) == ("split", "corsOrigins")


def test_azd_finds_everything(main: Any, resources: Any) -> None:
    azure = read_yaml(ROOT / "azure.yaml")
    [(name, service)] = azure["services"].items()
    assert service == {"project": ".", "language": "python", "host": "function"}
    tags = config(resources, "functionApp")["tags"]["function"]["parameters"]["arg_2"]
    assert tags == {"'azd-service-name'": name}
    assert (ROOT / azure["infra"]["path"] / f"{azure['infra']['module']}.bicep").exists()
    parameters = json.loads((INFRA / "main.parameters.json").read_text("utf-8"))["parameters"]
    assert set(parameters) <= set(main["parameters"])
    needed = {name for name, one in main["parameters"].items() if "default" not in one}
    assert needed <= set(parameters)
    strings = {name for name, one in main["parameters"].items() if one["type"] == "string"}
    assert set(parameters) <= strings, "azd puts texts in place of variables"


def test_the_guide_lists_every_parameter_with_its_default(resources: Any) -> None:
    section = GUIDE.read_text("utf-8").partition("\n## Parameters\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| `?([^|`]*)`? \|", section, re.MULTILINE))
    told = {name: default.strip() for name, default in rows.items()}
    assert set(told) == set(resources["parameters"]) - {"location", "suffix", "tags"}
    in_words = {"principalId", "authAudiences"}
    for name in set(told) - in_words:
        default = resources["parameters"][name]["default"]
        assert told[name] == (default if isinstance(default, str) else json.dumps(default)), name


def test_the_guide_names_the_limits_of_the_platform() -> None:
    """PLT-115"""
    section = GUIDE.read_text("utf-8").partition("\n## Limits of the platform\n")[2].partition("\n## ")[0]
    for limit in ("210 MB", "4,096 characters", "8 KiB", "32 KiB", "240 s", "230 s"):
        assert limit in section


def test_what_the_guide_asks_of_a_deployment_is_an_output_of_it(resources: Any) -> None:
    asked = re.findall(r"properties\.outputs\.(\w+)\.value", GUIDE.read_text("utf-8"))
    assert set(asked) == set(resources["outputs"])
