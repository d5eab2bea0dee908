"""Every setting of the app: application settings on Azure, environment variables and local.settings.json elsewhere."""

import os
from functools import cache
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The settings in force. Each field's alias is the name of its environment variable; its default suits a laptop."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, populate_by_name=True)

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

    worker_processes: int = Field(default=1, alias="FUNCTIONS_WORKER_PROCESS_COUNT", gt=0)
    """Worker processes of this host, which share the store."""

    max_file_bytes: int = Field(default=2_147_483_648, alias="DICOM_MAX_FILE_BYTES", gt=0)
    """Largest file that a store takes (STO-31)."""
    duplicates: Literal["fail", "warn"] = Field(default="fail", alias="DICOM_DUPLICATES")
    """Whether a request of duplicates alone is a conflict (STO-44) or 202 (STO-170)."""
    workitem_validation: Literal["lenient", "strict"] = Field(default="lenient", alias="DICOM_WORKITEM_VALIDATION")
    """Whether workitems with few attributes and readable UIDs are taken, which Azure refuses (UPS-08)."""
    transcode_limit_bytes: int = Field(default=104_857_600, alias="DICOM_TRANSCODE_LIMIT_BYTES", gt=0)
    """Largest file that is transcoded or rendered (RET-35, RET-84)."""
    codec_processes: int = Field(default=2, alias="DICOM_CODEC_PROCESSES", gt=0)
    """Processes that decode pixel data, for each worker; they are started when they are needed."""
    codec_timeout_seconds: float = Field(default=120, alias="DICOM_CODEC_TIMEOUT_SECONDS", gt=0)
    """After so long a codec is given up: 406."""
    expiry_interval_seconds: int = Field(default=3600, alias="EXPIRY_INTERVAL_SECONDS", gt=0)
    """How often expired studies are deleted (STO-123)."""
    public_url: str = Field(default="", alias="DICOM_PUBLIC_URL")
    """What absolute URLs begin with, when proxies hide it (PLT-10)."""
    log_format: Literal["text", "json"] = Field(default="text", alias="DICOM_LOG_FORMAT")

    emulator_endpoints: bool = Field(
        default_factory=lambda: "WEBSITE_SITE_NAME" not in os.environ, alias="DICOM_EMULATOR_ENDPOINTS"
    )
    """Whether `/_emulator/...` is served, which can empty the store; on Azure it is not unless this says so."""

    table_file: str = Field(default="", alias="DICOM_AZURITE_TABLE_FILE")
    """Path of Azurite's table file, set by whoever starts Azurite on this machine; empty: not watched."""
    table_file_warning_bytes: int = Field(default=200_000_000, alias="DICOM_AZURITE_TABLE_WARNING_BYTES", gt=0)
    table_file_limit_bytes: int = Field(default=400_000_000, alias="DICOM_AZURITE_TABLE_LIMIT_BYTES", gt=0)


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()
