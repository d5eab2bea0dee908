"""What the attributes of a workitem must be like when it is created and when it is updated (PS3.4 table CC.2.5-3).

The codes are those of the service (worklist-and-change-feed, section 9). A rule is written as keyword, code on
create, code on update; one code stands for both.
"""

from dataclasses import dataclass
from enum import Enum
from functools import cache

from ..dicomweb.attribute_keys import attribute_tag


class Code(Enum):
    """The requirement of one transaction for one attribute."""

    VALUE = "1"
    """required, with a value"""
    PRESENT = "2"
    """required, may be empty"""
    IF_PRESENT = "3"
    """optional, but not without a value"""
    OPTIONAL = "o"
    FORBIDDEN = "x"
    EMPTY = "E"
    """required, and empty"""
    SERVER = "s"
    """set by the server, whatever is sent"""

    @property
    def required(self) -> bool:
        return self in (Code.VALUE, Code.PRESENT, Code.EMPTY)

    @property
    def needs_value(self) -> bool:
        return self in (Code.VALUE, Code.IF_PRESENT)


@dataclass(frozen=True, slots=True)
class Rule:
    """The requirements for one attribute, and for what the items of a sequence hold."""

    tag: str
    create: Code
    update: Code
    items: tuple["Rule", ...] = ()


def _rule(keyword: str, create: str, update: str = "", *, items: tuple[Rule, ...] = ()) -> Rule:
    tag = attribute_tag(keyword)
    assert tag is not None, keyword
    return Rule(tag, Code(create), Code(update or create), items)


def _rules(code: str, keywords: str) -> tuple[Rule, ...]:
    """The same code for several attributes in both transactions."""
    return tuple(_rule(keyword, code) for keyword in keywords.split())


@cache
def requirements() -> tuple[Rule, ...]:
    """The rules of a workitem, in the order in which their defects are reported."""
    return (
        _rule("TransactionUID", "E", "o"),
        *_common(),
        *_scheduled(),
        *_relationship(),
        *_progress_and_performed(),
        *_rules("3", _MODULES),
    )


def _common() -> tuple[Rule, ...]:
    return (
        _rule("SpecificCharacterSet", "3"),
        _rule("SOPClassUID", "s", "x"),
        _rule("SOPInstanceUID", "s", "x"),
    )


def _scheduled() -> tuple[Rule, ...]:
    """Unified Procedure Step Scheduled Procedure Information (PS3.3 C.30.2)."""
    code = _code()
    performer = (
        _rule("HumanPerformerCodeSequence", "1", items=code),
        *_rules("1", "HumanPerformerName HumanPerformerOrganization"),
    )
    return (
        _rule("ScheduledProcedureStepPriority", "1", "3"),
        _rule("ScheduledProcedureStepModificationDateTime", "s"),
        _rule("ProcedureStepLabel", "1", "3"),
        _rule("WorklistLabel", "s", "3"),
        _rule("ScheduledProcessingParametersSequence", "2", "3", items=_content_item()),
        _rule("ScheduledStationNameCodeSequence", "2", "3", items=code),
        _rule("ScheduledStationClassCodeSequence", "2", "3", items=code),
        _rule("ScheduledStationGeographicLocationCodeSequence", "2", "3", items=code),
        _rule("ScheduledHumanPerformersSequence", "o", "3", items=performer),
        _rule("ScheduledProcedureStepStartDateTime", "1", "3"),
        _rule("ExpectedCompletionDateTime", "3"),
        _rule("ScheduledProcedureStepExpirationDateTime", "3"),
        _rule("ScheduledWorkitemCodeSequence", "2", "3", items=code),
        _rule("CommentsOnTheScheduledProcedureStep", "2", "3"),
        _rule("InputReadinessState", "1", "3"),
        _rule("InputInformationSequence", "2", "3", items=_references()),
        _rule("StudyInstanceUID", "3"),
        _rule("OutputDestinationSequence", "3", items=_destinations()),
    )


def _relationship() -> tuple[Rule, ...]:
    """Unified Procedure Step Relationship, patient and visit (PS3.3 C.30.4; UPS-92)."""
    return (
        _rule("PatientName", "2", "x"),
        _rule("PatientID", "3", "x"),
        *_issuer_of_patient_id(),
        _rule("OtherPatientIDsSequence", "2", "3", items=(_rule("PatientID", "1"), *_issuer_of_patient_id())),
        _rule("PatientBirthDate", "1", "x"),
        _rule("PatientSex", "1", "x"),
        _rule("AdmissionID", "1", "x"),
        _rule("IssuerOfAdmissionIDSequence", "1", "x", items=_designator()),
        _rule("AdmittingDiagnosesDescription", "1", "x"),
        _rule("AdmittingDiagnosesCodeSequence", "1", "x", items=_code()),
        _rule("ReferencedRequestSequence", "2", "x", items=_request()),
        _rule("ReplacedProcedureStepSequence", "3", "x", items=_rules("1", _REFERENCED_INSTANCE)),
    )


def _progress_and_performed() -> tuple[Rule, ...]:
    """Progress information and performed procedure (PS3.3 C.30.1, C.30.3; UPS-19)."""
    code = _code()
    contact = (_rule("ContactURI", "1"), _rule("ContactDisplayName", "3"))
    parameters = (*_content_item(), _rule("ContentItemModifierSequence", "3", items=_content_item()))
    progress = (
        _rule("ProcedureStepProgress", "x", "3"),
        _rule("ProcedureStepProgressDescription", "x", "3"),
        _rule("ProcedureStepProgressParametersSequence", "x", "3", items=parameters),
        _rule("ProcedureStepCommunicationsURISequence", "x", "3", items=contact),
        _rule("ProcedureStepCancellationDateTime", "x", "3"),
        _rule("ReasonForCancellation", "x", "3"),
        _rule("ProcedureStepDiscontinuationReasonCodeSequence", "x", "3", items=code),
    )
    performers = (
        _rule("HumanPerformerCodeSequence", "3", items=code),
        *_rules("3", "HumanPerformerName HumanPerformerOrganization"),
    )
    performed = (
        _rule("ActualHumanPerformersSequence", "x", "3", items=performers),
        _rule("PerformedStationNameCodeSequence", "x", "3", items=code),
        _rule("PerformedStationClassCodeSequence", "x", "3", items=code),
        _rule("PerformedStationGeographicLocationCodeSequence", "x", "3", items=code),
        _rule("PerformedProcedureStepStartDateTime", "x", "3"),
        _rule("PerformedProcedureStepDescription", "x", "3"),
        _rule("CommentsOnThePerformedProcedureStep", "x", "3"),
        _rule("PerformedWorkitemCodeSequence", "x", "3", items=code),
        _rule("PerformedProcessingParametersSequence", "x", "3", items=_content_item()),
        _rule("PerformedProcedureStepEndDateTime", "x", "3"),
        _rule("OutputInformationSequence", "x", "2", items=_references()),
    )
    return (
        _rule("ProcedureStepState", "s", "x"),
        _rule("ProcedureStepProgressInformationSequence", "2", "3", items=progress),
        _rule("UnifiedProcedureStepPerformedProcedureSequence", "2", "3", items=performed),
    )


# ---------------------------------------------------------------- what items hold


def _code() -> tuple[Rule, ...]:
    """Code sequence macro (UPS-90)."""
    optional = "CodeValue CodingSchemeDesignator CodingSchemeVersion LongCodeValue URNCodeValue MappingResource"
    optional += " MappingResourceUID ContextGroupVersion ContextGroupExtensionFlag ContextGroupLocalVersion"
    optional += " ContextGroupExtensionCreatorUID"
    return (_rule("CodeMeaning", "1"), *_rules("3", optional))


def _content_item() -> tuple[Rule, ...]:
    """Content item macro: a parameter, its name and its value."""
    code = _code()
    return (
        _rule("ValueType", "1"),
        _rule("ConceptNameCodeSequence", "1", items=code),
        *_rules("3", "DateTime Date Time PersonName UID TextValue NumericValue"),
        _rule("ConceptCodeSequence", "3", items=code),
        _rule("MeasurementUnitsCodeSequence", "3", items=code),
    )


def _references() -> tuple[Rule, ...]:
    """Referenced instances and where they can be had (UPS-91)."""
    instance = (
        *_rules("1", _REFERENCED_INSTANCE),
        *_rules("3", "HL7InstanceIdentifier ReferencedFrameNumber ReferencedSegmentNumber"),
    )
    media = (_rule("StorageMediaFileSetID", "2"), _rule("StorageMediaFileSetUID", "1"))
    repository = (_rule("RepositoryUniqueID", "1"), _rule("HomeCommunityID", "3"))
    return (
        _rule("TypeOfInstances", "1"),
        *_rules("3", "StudyInstanceUID SeriesInstanceUID"),
        _rule("ReferencedSOPSequence", "1", items=instance),
        _rule("DICOMRetrievalSequence", "3", items=_rules("1", "RetrieveAETitle")),
        _rule("DICOMMediaRetrievalSequence", "3", items=media),
        _rule("WADORetrievalSequence", "3", items=_rules("1", "RetrieveURI")),
        _rule("XDSRetrievalSequence", "3", items=repository),
        _rule("WADORSRetrievalSequence", "3", items=_rules("1", "RetrieveURL")),
    )


def _destinations() -> tuple[Rule, ...]:
    repository = (_rule("RepositoryUniqueID", "1"), _rule("HomeCommunityID", "3"))
    return (
        _rule("DICOMStorageSequence", "3", items=_rules("1", "DestinationAE")),
        _rule("STOWRSStorageSequence", "3", items=_rules("1", "StorageURL")),
        _rule("XDSStorageSequence", "3", items=repository),
    )


def _designator() -> tuple[Rule, ...]:
    """Hierarchic designator macro: who issued an identifier."""
    return _rules("3", "LocalNamespaceEntityID UniversalEntityID UniversalEntityIDType")


def _issuer_of_patient_id() -> tuple[Rule, ...]:
    qualifiers = (
        _rule("UniversalEntityID", "2"),
        _rule("UniversalEntityIDType", "3"),
        _rule("IdentifierTypeCode", "2"),
        _rule("AssigningFacilitySequence", "2", items=_designator()),
        _rule("AssigningJurisdictionCodeSequence", "2", items=_code()),
        _rule("AssigningAgencyOrDepartmentCodeSequence", "2", items=_code()),
    )
    return (
        _rule("IssuerOfPatientID", "2", "x"),
        _rule("IssuerOfPatientIDQualifiersSequence", "2", "x", items=qualifiers),
    )


def _request() -> tuple[Rule, ...]:
    """An item of ReferencedRequestSequence."""
    return (
        _rule("StudyInstanceUID", "1"),
        _rule("AccessionNumber", "2"),
        _rule("IssuerOfAccessionNumberSequence", "2", items=_designator()),
        _rule("OrderPlacerIdentifierSequence", "2", items=_designator()),
        _rule("OrderFillerIdentifierSequence", "2", items=_designator()),
        _rule("RequestedProcedureID", "2"),
        _rule("RequestedProcedureDescription", "2"),
        _rule("RequestedProcedureCodeSequence", "2", items=_code()),
    )


_REFERENCED_INSTANCE = "ReferencedSOPClassUID ReferencedSOPInstanceUID"

_MODULES = """
    InstanceCreationDate InstanceCreationTime InstanceCoercionDateTime InstanceCreatorUID RelatedGeneralSOPClassUID
    OriginalSpecializedSOPClassUID CodingSchemeIdentificationSequence ContextGroupIdentificationSequence
    MappingResourceIdentificationSequence TimezoneOffsetFromUTC ContributingEquipmentSequence InstanceNumber
    SOPInstanceStatus SOPAuthorizationDateTime SOPAuthorizationComment AuthorizationEquipmentCertificationNumber
    EncryptedAttributesSequence OriginalAttributesSequence HL7StructuredDocumentReferenceSequence
    LongitudinalTemporalInformationModified QueryRetrieveView ConversionSourceAttributesSequence ContentQualification
    InstanceOriginStatus BarcodeValue
    TypeOfPatientID ReferencedPatientPhotoSequence PatientBirthDateInAlternativeCalendar
    PatientDeathDateInAlternativeCalendar PatientAlternativeCalendar ReasonForVisit ReasonForVisitCodeSequence
    PatientAge Occupation ConfidentialityConstraintOnPatientDataDescription PatientBirthTime QualityControlSubject
    PatientInsurancePlanCodeSequence PatientPrimaryLanguageCodeSequence PatientSize PatientWeight
    PatientSizeCodeSequence PatientAddress MilitaryRank BranchOfService CountryOfResidence RegionOfResidence
    PatientTelephoneNumbers PatientTelecomInformation EthnicGroup PatientReligiousPreference PatientComments
    ResponsiblePerson ResponsiblePersonRole ResponsibleOrganization PatientSpeciesDescription
    PatientSpeciesCodeSequence PatientBreedDescription PatientBreedCodeSequence BreedRegistrationSequence
    StrainDescription StrainNomenclature StrainCodeSequence StrainAdditionalInformation StrainStockSequence
    GeneticModificationsSequence
    MedicalAlerts PregnancyStatus SpecialNeeds Allergies SmokingStatus AdditionalPatientHistory LastMenstrualDate
    PatientSexNeutered PatientBodyMassIndex MeasuredAPDimension MeasuredLateralDimension PatientState
    PertinentDocumentsSequence PertinentResourcesSequence PatientClinicalTrialParticipationSequence
    InstitutionName InstitutionAddress InstitutionCodeSequence InstitutionalDepartmentName
    InstitutionalDepartmentTypeCodeSequence ServiceEpisodeID IssuerOfServiceEpisodeIDSequence
    ServiceEpisodeDescription VisitStatusID CurrentPatientLocation PatientInstitutionResidence VisitComments
    ReferringPhysicianName ReferringPhysicianAddress ReferringPhysicianTelephoneNumbers
    ReferringPhysicianIdentificationSequence ConsultingPhysicianName ConsultingPhysicianIdentificationSequence
    RouteOfAdmissions AdmittingDate AdmittingTime
"""
"""Attributes of the modules SOP common, patient and visit that have no rule of their own: not without a value."""
