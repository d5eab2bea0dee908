// What `azd up` deploys: a resource group with a shared test instance of the emulator in it (resources.bicep).
// Without azd: docs/deploy.md.
targetScope = 'subscription'

@description('Name of the azd environment; the resource group is named after it.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Region of everything. Flex Consumption must be offered there.')
@minLength(1)
@metadata({ azd: { type: 'location' } })
param location string

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

var tags = { 'azd-env-name': environmentName }

resource group 'Microsoft.Resources/resourceGroups@2021-04-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module resources 'resources.bicep' = {
  name: 'dicom-emulator'
  scope: group
  params: {
    location: location
    suffix: uniqueString(subscription().id, environmentName, location)
    tags: tags
    principalId: principalId
    authMode: authMode
    authRoleAssignments: authRoleAssignments
    authDefaultRole: authDefaultRole
    authAudiences: authAudiences
    corsOrigins: corsOrigins
    perInstanceConcurrency: perInstanceConcurrency
    maximumInstanceCount: maximumInstanceCount
    instanceMemoryMB: instanceMemoryMB
    applicationInsights: applicationInsights
  }
}

output AZURE_LOCATION string = location
output AZURE_RESOURCE_GROUP string = group.name
output AZURE_FUNCTION_NAME string = resources.outputs.functionAppName
output DICOM_BASE_URL string = resources.outputs.baseUrl
