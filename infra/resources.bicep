// A Function App on Flex Consumption, the storage account that holds everything, and the identity between them.
// `az deployment group create --template-file infra/resources.bicep` deploys it alone; docs/deploy.md goes through it.
targetScope = 'resourceGroup'

@description('Region of everything. Flex Consumption must be offered there.')
param location string = resourceGroup().location

@description('Makes the names unique in the world: lower-case letters and digits.')
@minLength(3)
@maxLength(20)
param suffix string = uniqueString(resourceGroup().id)

@description('Tags of everything.')
param tags object = {}

@description('Object id of who deploys, who becomes DICOM Data Owner; empty for nobody.')
param principalId string = ''

@description('Whether tokens are asked for and looked at.')
@allowed(['strict', 'mock', 'off'])
param authMode string = 'strict'

@description('Roles of further identities by object id or application id: { "<id>": ["DICOM Data Reader"] }.')
param authRoleAssignments object = {}

@description('Role of an identity that has none.')
@allowed(['none', 'DICOM Data Reader', 'DICOM Data Owner'])
param authDefaultRole string = 'none'

@description('Audiences that a token may be made out to, separated by commas.')
param authAudiences string = 'https://dicom.healthcareapis.azure.com,https://dicom.healthcareapis.azure.com/'

@description('Origins of browsers that may call, separated by commas without spaces; * for all, empty for none.')
param corsOrigins string = '*'

@description('Requests that one instance works on at a time, before another is added.')
@minValue(1)
@maxValue(1000)
param perInstanceConcurrency int = 16

@description('Most instances at a time, which bounds the costs.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Memory of an instance in MB; processors come in proportion.')
@allowed([2048, 4096])
param instanceMemoryMB int = 2048

@description('Whether logs and measurements go to Application Insights; a gigabyte a day at most.')
param applicationInsights bool = true

var packages = 'packages'
var login = '${environment().authentication.loginEndpoint}${tenant().tenantId}'
var deployer = empty(principalId) ? {} : { '${principalId}': ['DICOM Data Owner'] }

// What the identity may do in the storage account: leases and files, messages, rows. No shared key opens it.
var storageRoles = {
  blobs: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b' // Storage Blob Data Owner, which the Functions host asks for
  queues: '974c5e8b-45b9-4653-ba55-5f855dd0fb88' // Storage Queue Data Contributor
  tables: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3' // Storage Table Data Contributor
}
var metricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb' // Monitoring Metrics Publisher

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'id-${suffix}'
  location: location
  tags: tags
}

resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: 'st${suffix}'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: 'Standard_LRS' }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }

  resource blobs 'blobServices' = {
    name: 'default'

    resource container 'containers' = {
      name: packages
    }
  }
}

resource storageRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in items(storageRoles): {
    name: guid(storage.id, identity.id, role.value)
    scope: storage
    properties: {
      principalId: identity.properties.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.value)
    }
  }
]

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' = if (applicationInsights) {
  name: 'log-${suffix}'
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: 30
    workspaceCapping: { dailyQuotaGb: 1 }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = if (applicationInsights) {
  name: 'appi-${suffix}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
  }
}

resource insightsRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (applicationInsights) {
  name: guid(insights.id, identity.id, metricsPublisher)
  scope: insights
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', metricsPublisher)
  }
}

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: 'plan-${suffix}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    tier: 'FlexConsumption'
    name: 'FC1'
  }
  properties: { reserved: true }
}

resource functionApp 'Microsoft.Web/sites@2024-04-01' = {
  name: 'func-${suffix}'
  location: location
  tags: union(tags, { 'azd-service-name': 'dicom' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identity.id}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${packages}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      scaleAndConcurrency: {
        maximumInstanceCount: maximumInstanceCount
        instanceMemoryMB: instanceMemoryMB
        triggers: { http: { perInstanceConcurrency: perInstanceConcurrency } }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
    }
    siteConfig: {
      // On this plan the platform answers preflights, from this list; the app answers the rest, from its setting.
      cors: { allowedOrigins: empty(corsOrigins) ? [] : split(corsOrigins, ',') }
    }
  }
  dependsOn: [storageRole]

  resource settings 'config' = {
    name: 'appsettings'
    properties: union(
      {
        AzureWebJobsStorage__credential: 'managedidentity'
        AzureWebJobsStorage__clientId: identity.properties.clientId
        AzureWebJobsStorage__blobServiceUri: 'https://${storage.name}.blob.${environment().suffixes.storage}'
        AzureWebJobsStorage__queueServiceUri: 'https://${storage.name}.queue.${environment().suffixes.storage}'
        AzureWebJobsStorage__tableServiceUri: 'https://${storage.name}.table.${environment().suffixes.storage}'
        AzureWebJobsDisableHomepage: 'true'
        FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: '4294967296'
        DICOM_LOG_FORMAT: 'json'
        DICOM_LOCAL_COPIES_BYTES: '268435456' // an instance has less than a gigabyte of temporary disk
        DICOM_CORS_ORIGINS: corsOrigins
        DICOM_AUTH_MODE: authMode
        DICOM_AUTH_AUTHORITY: login
        DICOM_AUTH_ISSUERS: 'https://sts.windows.net/${tenant().tenantId}/,${login}/v2.0'
        DICOM_AUTH_AUDIENCES: authAudiences
        DICOM_AUTH_DEFAULT_ROLE: authDefaultRole
        DICOM_AUTH_ROLE_ASSIGNMENTS: string(union(deployer, authRoleAssignments))
      },
      applicationInsights ? {
        APPLICATIONINSIGHTS_CONNECTION_STRING: insights!.properties.ConnectionString
        APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
      } : {}
    )
  }
}

output functionAppName string = functionApp.name
output baseUrl string = 'https://${functionApp.properties.defaultHostName}/v2'
