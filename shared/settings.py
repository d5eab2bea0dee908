"""Every setting of the app: application settings on Azure, environment variables and local.settings.json elsewhere."""

import json
import os
from functools import cache
from typing import Literal, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

AUDIENCE = "https://dicom.healthcareapis.azure.com"
"""What tokens for the service of Azure are made out to."""


class BadSettings(Exception):
    """The app cannot run with these settings. The text names them and never repeats their values."""

    for_users = True
    """Hosts show the text without a traceback."""


class Settings(BaseSettings):
    """The settings in force. Each field's alias is the name of its environment variable; its default suits a laptop."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, populate_by_name=True, hide_input_in_errors=True)

    store: Literal["azure", "embedded"] = Field(default="azure", alias="DICOM_STORE")
    """Where everything is kept: an Azure Storage account, or files on this machine."""
    store_path: str = Field(default=".dev/embedded", alias="DICOM_STORE_PATH")
    """Directory of the embedded store."""
    store_durable: bool = Field(default=False, alias="DICOM_STORE_DURABLE")
    """Whether the embedded store waits for the disk before it acknowledges: for power cuts."""

    storage_connection: str = Field(default="", alias="AzureWebJobsStorage")
    """Connection string of the storage account; empty when the identity-based settings below name it."""
    storage_account: str = Field(default="", alias="AzureWebJobsStorage__accountName")
    blob_service_uri: str = Field(default="", alias="AzureWebJobsStorage__blobServiceUri")
    queue_service_uri: str = Field(default="", alias="AzureWebJobsStorage__queueServiceUri")
    table_service_uri: str = Field(default="", alias="AzureWebJobsStorage__tableServiceUri")
    storage_credential: str = Field(default="", alias="AzureWebJobsStorage__credential")
    storage_client_id: str = Field(default="", alias="AzureWebJobsStorage__clientId")

    value_rows: Literal["auto", "on", "off"] = Field(default="auto", alias="DICOM_VALUE_ROWS")
    """Whether searches have rows by value in an Azure Storage account; auto: unless it is Azurite's."""

    worker_processes: int = Field(default=1, alias="FUNCTIONS_WORKER_PROCESS_COUNT", gt=0)
    """Worker processes of this host, which share the store."""

    max_file_bytes: int = Field(default=2_147_483_648, alias="DICOM_MAX_FILE_BYTES", gt=0)
    """Largest file that a store takes (STO-31)."""
    duplicates: Literal["fail", "warn"] = Field(default="fail", alias="DICOM_DUPLICATES")
    """Whether a request of duplicates alone is a conflict (STO-44) or 202 (STO-170)."""
    workitem_validation: Literal["lenient", "strict"] = Field(default="lenient", alias="DICOM_WORKITEM_VALIDATION")
    """Whether workitems with few attributes and readable UIDs are taken, which Azure refuses (UPS-08)."""
    local_copies_bytes: int = Field(default=1_073_741_824, alias="DICOM_LOCAL_COPIES_BYTES", ge=0)
    """What copies of files may take on the local disk while an Azure Storage account keeps them; 0: no copies."""
    local_copies_path: str = Field(default="", alias="DICOM_LOCAL_COPIES_PATH")
    """Directory of the copies; empty: one in the temporary directory."""
    transcode_limit_bytes: int = Field(default=104_857_600, alias="DICOM_TRANSCODE_LIMIT_BYTES", gt=0)
    """Largest file that is transcoded or rendered (RET-35, RET-84)."""
    codec_processes: int = Field(default=2, alias="DICOM_CODEC_PROCESSES", gt=0)
    """Processes that decode pixel data, for each worker; they are started when they are needed."""
    codec_timeout_seconds: float = Field(default=120, alias="DICOM_CODEC_TIMEOUT_SECONDS", gt=0)
    """After so long a codec is given up: 406."""
    expiry_interval_seconds: int = Field(default=3600, alias="EXPIRY_INTERVAL_SECONDS", gt=0)
    """How often expired studies are deleted (STO-123)."""
    disable_operations: bool = Field(default=False, alias="DICOM_DISABLE_OPERATIONS")
    """Whether bulk updates are refused, as the service does at times."""
    public_url: str = Field(default="", alias="DICOM_PUBLIC_URL")
    """What absolute URLs begin with, when proxies hide it (PLT-10)."""
    log_format: Literal["text", "json"] = Field(default="text", alias="DICOM_LOG_FORMAT")
    audit_log: bool = Field(default=True, alias="DICOM_AUDIT_LOG")
    """Whether every action of the API writes its audit lines (PLT-45)."""

    auth_mode: Literal["off", "mock", "strict"] = Field(default="off", alias="DICOM_AUTH_MODE")
    """Whether tokens are asked for and looked at (PLT-30 to PLT-32)."""
    auth_authority: str = Field(default="", alias="DICOM_AUTH_AUTHORITY")
    """Whose OpenID configuration names issuer and keys (PLT-33)."""
    auth_issuers: str = Field(default="", alias="DICOM_AUTH_ISSUERS")
    auth_jwks_uri: str = Field(default="", alias="DICOM_AUTH_JWKS_URI")
    auth_jwks_file: str = Field(default="", alias="DICOM_AUTH_JWKS_FILE")
    auth_audiences: str = Field(default=f"{AUDIENCE},{AUDIENCE}/", alias="DICOM_AUTH_AUDIENCES", min_length=1)
    auth_role_assignments: str = Field(default="", alias="DICOM_AUTH_ROLE_ASSIGNMENTS")
    """JSON: the roles of identities whose tokens have none (PLT-44)."""
    auth_default_role: str = Field(default="DICOM Data Owner", alias="DICOM_AUTH_DEFAULT_ROLE")

    cors_origins: str = Field(default="*", alias="DICOM_CORS_ORIGINS")
    """Who may call from a browser, separated by commas; `*` for everybody, empty for nobody (PLT-26)."""
    cors_headers: str = Field(default="*", alias="DICOM_CORS_HEADERS")
    cors_methods: str = Field(default="*", alias="DICOM_CORS_METHODS")
    cors_max_age: str = Field(default="", alias="DICOM_CORS_MAX_AGE", pattern=r"^[0-9]{0,9}$")
    cors_credentials: bool = Field(default=False, alias="DICOM_CORS_CREDENTIALS")

    emulator_endpoints: bool = Field(
        default_factory=lambda: "WEBSITE_SITE_NAME" not in os.environ, alias="DICOM_EMULATOR_ENDPOINTS"
    )
    """Whether `/_emulator/...` is served, which can empty the store; on Azure it is not unless this says so."""

    table_file: str = Field(default="", alias="DICOM_AZURITE_TABLE_FILE")
    """Path of Azurite's table file, set by whoever starts Azurite on this machine; empty: not watched."""
    table_file_warning_bytes: int = Field(default=200_000_000, alias="DICOM_AZURITE_TABLE_WARNING_BYTES", gt=0)
    table_file_limit_bytes: int = Field(default=400_000_000, alias="DICOM_AZURITE_TABLE_LIMIT_BYTES", gt=0)

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object, info: ValidationInfo) -> object:
        """Compose files and templates pass variables on that nobody has set; an empty text may be meant."""
        field = cls.model_fields[str(info.field_name)]
        if value != "" or field.annotation is str:
            return value
        return field.get_default(call_default_factory=True, validated_data={})

    @field_validator("auth_role_assignments")
    @classmethod
    def _is_a_map_of_lists(cls, text: str) -> str:
        read_role_assignments(text)
        return text

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.cors_credentials and "*" in listed(self.cors_origins):
            raise ValueError("DICOM_CORS_CREDENTIALS=true needs DICOM_CORS_ORIGINS that are not *")
        if self.auth_mode == "strict" and not self.auth_authority:
            if not self.auth_issuers:
                raise ValueError("DICOM_AUTH_MODE=strict needs DICOM_AUTH_AUTHORITY or DICOM_AUTH_ISSUERS")
            if not (self.auth_jwks_uri or self.auth_jwks_file):
                raise ValueError("DICOM_AUTH_ISSUERS needs DICOM_AUTH_JWKS_URI or DICOM_AUTH_JWKS_FILE")
        return self


def listed(text: str) -> tuple[str, ...]:
    """The entries of a setting that holds several, separated by commas."""
    return tuple(entry.strip() for entry in text.split(",") if entry.strip())


def read_role_assignments(text: str) -> dict[str, tuple[str, ...]]:
    """Roles by identity; raises `ValueError` unless it is a JSON object of lists of texts, or of texts."""
    if not text.strip():
        return {}
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError("no JSON object")
    assignments = {}
    for identity, value in document.items():
        roles = [value] if isinstance(value, str) else value
        if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
            raise ValueError("the value of an identity is no list of roles")
        assignments[identity] = tuple(roles)
    return assignments


@cache
def settings() -> Settings:
    """The settings of this process, read once; raises `BadSettings`, which stops the start."""
    try:
        return Settings()
    except ValidationError as error:
        raise BadSettings("; ".join(_fault(one["loc"], one["msg"]) for one in error.errors())) from None


def _fault(location: tuple[int | str, ...], message: str) -> str:
    name = ".".join(str(part) for part in location)
    return f"{name}: {message}" if name else message
