# The app in the Azure Functions host: for a Function App that runs containers, for Container Apps, for Kubernetes.
#
#   docker build --platform linux/amd64 --tag azure-dicom-emulator:functions .
#   docker run --publish 8080:80 --env AzureWebJobsStorage="..." azure-dicom-emulator:functions
#
# Microsoft publishes the base image for amd64 alone. docker/Dockerfile.slim needs no storage account and builds for
# arm64, too.
FROM mcr.microsoft.com/azure-functions/python:4-python3.13

# The store of the host's keys is named below, no secret.
# hadolint ignore=DL3064
ENV AzureWebJobsScriptRoot=/home/site/wwwroot \
    AzureFunctionsJobHost__Logging__Console__IsEnabled=true \
    AzureWebJobsDisableHomepage=true \
    AzureWebJobsSecretStorageType=files \
    FUNCTIONS_REQUEST_BODY_SIZE_LIMIT=4294967296

COPY requirements.txt /
RUN pip install --no-cache-dir --only-binary :all: --requirement /requirements.txt

COPY host.json function_app.py /home/site/wwwroot/
COPY shared /home/site/wwwroot/shared
