"""The query string of searches: what is read from it, and every refusal with its exact text."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.dicom.attributes import SEARCHABLE, Level
from shared.dicom.matching import AnyOf, Anything, Between, Equal, OneOf, Pattern, Words
from shared.dicomweb import search_parameters as parameters
from shared.dicomweb.attribute_keys import attribute_name, attribute_tag, dictionary_vr, is_private
from shared.dicomweb.query_string import Page, query_pairs, requested_fuzzy_matching, requested_page
from shared.dicomweb.search_parameters import Fields, Filter, Resource, SearchableTag
from shared.errors import InvalidRequest

pytestmark = pytest.mark.unit

RESOURCES = {
    "/studies": parameters.STUDIES,
    "/series": parameters.SERIES,
    "/instances": parameters.INSTANCES,
    "/studies/{s}/series": parameters.SERIES_OF_STUDY,
    "/studies/{s}/instances": parameters.INSTANCES_OF_STUDY,
    "/studies/{s}/series/{e}/instances": parameters.INSTANCES_OF_SERIES,
}

EXTENDED = {
    "00101010": SearchableTag("00101010", "AS", Level.STUDY, column="00101010_1"),
    "00181000": SearchableTag("00181000", "LO", Level.SERIES, enabled=False),
    "0040A124": SearchableTag("0040A124", "UI", Level.INSTANCE),
    "00080031": SearchableTag("00080031", "TM", Level.SERIES),
    "0008002A": SearchableTag("0008002A", "DT", Level.INSTANCE),
    "00200013": SearchableTag("00200013", "IS", Level.INSTANCE),
    "00189073": SearchableTag("00189073", "FD", Level.INSTANCE),
    "00091001": SearchableTag("00091001", "PN", Level.STUDY),
}


def filters(query: str, resource: Resource = parameters.INSTANCES, *, fuzzy: bool = False) -> tuple[Filter, ...]:
    pairs = query_pairs(query.encode())
    parameters.refuse_repeated_keys(pairs)
    return parameters.requested_filters(pairs, resource, fuzzy=fuzzy, extended=EXTENDED)


def only(query: str, *, fuzzy: bool = False) -> Filter:
    (found,) = filters(query, fuzzy=fuzzy)
    return found


def refusal(query: str, resource: Resource = parameters.INSTANCES, *, fuzzy: bool = False) -> str:
    with pytest.raises(InvalidRequest) as caught:
        filters(query, resource, fuzzy=fuzzy)
    return str(caught.value)


# -- keys


def test_qry_10_a_key_is_a_keyword_or_eight_digits() -> None:
    assert only("PatientName=x").tag == only("00100010=x").tag == "00100010"
    assert only("0020000d=1.2").tag == only("0020000D=1.2").tag == "0020000D"


@pytest.mark.parametrize(
    "key", ["patientid", "(0010,0020)", "0010,0020", "10020", "0010002", "99980001", "00100021x", ""]
)
def test_qry_11_unknown_keys(key: str) -> None:
    assert refusal(f"{key}=x").startswith(f"Invalid query: unknown query parameter '{key}'. ")


def test_qry_11_odd_groups_parse_and_repeating_groups_are_known() -> None:
    assert attribute_tag("12051003") == "12051003"
    assert attribute_tag("60020010") == "60020010"
    assert is_private("12051003")
    assert not is_private("00100010")
    assert attribute_name("12051003") == "12051003"
    assert attribute_name("0020000D") == "StudyInstanceUID"
    assert dictionary_vr("00280106") == "US"
    assert dictionary_vr("12051003") is None
    assert refusal("12051003=x").startswith(
        "Invalid query: AttributeId 12051003 is not queryable.  If the parameter is "
    )


@pytest.mark.parametrize("attribute", SEARCHABLE.values(), ids=lambda attribute: attribute.keyword)
@pytest.mark.parametrize("path", RESOURCES)
def test_qry_13_qry_14_attributes_filter_at_their_levels(attribute, path: str) -> None:  # type: ignore[no-untyped-def]
    levels = {
        "/studies": "study",
        "/series": "study series",
        "/instances": "study series instance",
        "/studies/{s}/series": "series",
        "/studies/{s}/instances": "series instance",
        "/studies/{s}/series/{e}/instances": "instance",
    }
    value = "20240102" if attribute.vr == "DA" else "1.2"
    for key in (attribute.keyword, attribute.tag, attribute.tag.lower()):
        if attribute.level.value in levels[path].split():
            (found,) = filters(f"{key}={value}", RESOURCES[path])
            assert (found.tag, found.level, found.key) == (attribute.tag, attribute.level, key)
        else:
            assert refusal(f"{key}={value}", RESOURCES[path]).startswith(
                f"Invalid query: AttributeId {key} is not queryable.  If the parameter is "
            )


@pytest.mark.parametrize("key", ["StudyTime", "PatientSex", "StudyID", "InstanceNumber", "00080201", "PatientAge2"])
def test_qry_13_everything_else_is_refused(key: str) -> None:
    with pytest.raises(InvalidRequest):
        filters(f"{key}=x")


EMPTY = ["PatientName=", "PatientName", "PatientName=%20+%09", "StudyInstanceUID=,", "ModalitiesInStudy=%5C, "]


@pytest.mark.parametrize("query", EMPTY)
def test_qry_16_empty_values(query: str) -> None:
    key = query.partition("=")[0]
    expected = f"Invalid query: AttributeId '{key}' has empty string value that is not supported."
    assert refusal(query) == expected


def test_qry_16_paths_into_sequences() -> None:
    for text in (refusal("ReferencedStudySequence.StudyInstanceUID=1.2"), refusal("00081110.0020000D=1")):
        assert text.endswith("Sequential dicom tags are currently not supported.")
    with pytest.raises(InvalidRequest, match=r"Sequential dicom tags are currently not supported\.$"):
        parameters.requested_fields([("includefield", "00081110.0020000D")])


def test_qry_16_quotation_marks_in_fuzzy_names() -> None:
    assert "contains unsupported character '\"'" in refusal('PatientName=a"b', fuzzy=True)
    assert only('PatientName=a"b').matcher == Equal('a"b')
    assert only('PatientID=a"b', fuzzy=True).matcher == Equal('a"b')


def test_qry_17_one_attribute_one_filter() -> None:
    for query in ("PatientID=a&PatientID=b", "PatientID=a&PatientID=a", "PatientID=a&patientid=a"):
        assert refusal(query).startswith("Invalid QIDO-RS query. Duplicate AttributeId 'PatientID'. ")
    assert refusal("PatientName=a&00100010=b").startswith(
        "Invalid query: attribute '00100010' has been specified more than once using different ID formats. "
    )


def test_qry_19_form_data_is_decoded_then_trimmed() -> None:
    assert only("PatientName=Doe%5EJohn+X%20").matcher == Equal("doe^john x")
    assert only("+PatientName%20=%20a").key == "PatientName"
    assert only("StudyDescription=CT?Head").matcher == Pattern("ct?head")
    assert only("StudyDescription=a%3Db%26c%23d%25e%2Bf%7C'%2F").matcher == Equal("a=b&c#d%e+f|'/")
    assert only("StudyDescription=%FF").matcher == Equal("\ufffd")


def test_qry_20_the_first_fault_is_the_answer() -> None:
    assert "unknown query parameter" in refusal("nope=&StudyDate=x")
    assert "is not queryable" in refusal("Modality=&StudyDate=x", parameters.STUDIES)
    assert refusal("00181000=") == "Query is disabled on specified attribute '00181000'."
    assert "empty string" in refusal("StudyDate=&00080020=x")
    assert "Date value" in refusal("StudyDate=20240101&00080020=x")
    assert "more than once" in refusal("StudyDate=20240101&00080020=20240102")


# -- limit, offset, fuzzymatching, includefield


def test_qry_12_qry_21_qry_22_page() -> None:
    assert requested_page([]) == Page(100, 0)
    assert requested_page([("LIMIT", "1"), ("Offset", "7")]) == Page(1, 7)
    assert requested_page([("limit", "200"), ("limit", "x")]) == Page(200, 0)
    assert Page(10, 5).end == 15


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("limit", "0", "The field Limit must be between 1 and 200."),
        ("limit", "-1", "The field Limit must be between 1 and 200."),
        ("limit", "201", "The field Limit must be between 1 and 200."),
        ("limit", "abc", "The value 'abc' is not valid for Limit."),
        ("limit", "1.5", "The value '1.5' is not valid for Limit."),
        ("limit", "99999999999", "The value '99999999999' is not valid for Limit."),
        ("limit", "", "The value '' is invalid."),
        ("offset", "-1", "The field Offset must be between 0 and 2147483647."),
        ("offset", "x", "The value 'x' is not valid for Offset."),
        ("offset", "٣", "The value '٣' is not valid for Offset."),
    ],
)
def test_qry_21_qry_22_bad_pages(name: str, value: str, text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        requested_page([(name, value)])
    assert str(caught.value) == f"The query parameter '{name.title()}' is invalid. {text}"


def test_qry_23_fuzzy_matching() -> None:
    assert not requested_fuzzy_matching([])
    assert requested_fuzzy_matching([("FuzzyMatching", "TRUE")])
    assert not requested_fuzzy_matching([("fuzzymatching", "False"), ("fuzzymatching", "x")])
    for bad in ("1", "yes", ""):
        with pytest.raises(InvalidRequest, match=r"The query parameter 'FuzzyMatching' is invalid\. "):
            requested_fuzzy_matching([("fuzzymatching", bad)])


def test_qry_24_includefield() -> None:
    def read(query: str) -> Fields:
        return parameters.requested_fields(query_pairs(query.encode()))

    assert read("") == Fields()
    assert read("includefield=00081030%2C%20Modality&IncludeField=Rows") == Fields(
        frozenset({"00081030", "00080060", "00280010"})
    )
    assert read("includefield=12051003") == Fields(frozenset({"12051003"}))
    assert read("includefield=ALL") == Fields(all=True)


@pytest.mark.parametrize(
    ("value", "fault"), [("", ""), ("PatientName,,Rows", ""), ("x", "x"), ("patientname", "patientname")]
)
def test_qry_56_bad_includefields(value: str, fault: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parameters.requested_fields([("includefield", value)])
    assert str(caught.value) == f"Invalid query: IncludeField has unknown attribute '{fault}'."


@pytest.mark.parametrize("values", [["all,Rows"], ["Rows,all"], ["all", "Rows"]])
def test_qry_56_all_stands_alone(values: list[str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parameters.requested_fields([("includefield", value) for value in values])
    assert str(caught.value) == "Invalid query: cannot specify included fields in addition to 'all'."


# -- values


def test_qry_34_dates_and_ranges() -> None:
    assert only("StudyDate=20240102").matcher == Equal("20240102")
    assert only("StudyDate=20240101-20240102").matcher == Between("20240101", "20240102")
    assert only("StudyDate=20240101%20-%2020240101").matcher == Between("20240101", "20240101")
    assert only("StudyDate=20240101-").matcher == Between("20240101", None)
    assert only("StudyDate=-20240102").matcher == Between(None, "20240102")


@pytest.mark.parametrize(
    "value", ["20200230", "2020", "2020/02/28", "2020-01-02", "2024*", "2020-", "-x", "2024010112"]
)
def test_qry_35_bad_dates(value: str) -> None:
    side = {"2020-": "2020", "-x": "x"}.get(value, value)
    for key in ("StudyDate", "00080020"):
        assert refusal(f"{key}={value}") == (
            f"Invalid query: specified Date value '{side}' is invalid for attribute 'StudyDate'. "
            "Date should be valid and formatted as yyyyMMdd."
        )


def test_qry_35_bad_ranges() -> None:
    assert refusal("StudyDate=20200110-20200109").startswith(
        "Invalid query: specified date range '20200110-20200109' is invalid. "
    )
    assert refusal("StudyDate=-").startswith("Invalid query: specified range is invalid. ")
    assert refusal("StudyDate=%20-%20").startswith("Invalid query: specified range is invalid. ")


def test_qry_36_lists_of_modalities() -> None:
    assert only("ModalitiesInStudy=MR").matcher == AnyOf((Equal("mr"),))
    assert only("ModalitiesInStudy=CT,MR%5CU?,").matcher == AnyOf((Equal("ct"), Equal("mr"), Pattern("u?")))
    assert only("ModalitiesInStudy=*").matcher == Anything()


def test_qry_37_qry_38_fuzzy_matching_is_for_names() -> None:
    assert only("PatientName=Jo^Dö", fuzzy=True).matcher == Words(("jo", "do"))
    assert only("00091001=Jo Do", fuzzy=True).matcher == Words(("jo", "do"))
    assert only("StudyDescription=a b", fuzzy=True).matcher == Equal("a b")


def test_qry_40_qry_41_wildcards() -> None:
    assert only("PatientID=pAt*").matcher == Pattern("pat*")
    assert only("PatientName=Dö?^*", fuzzy=True).matcher == Pattern("do?^*")
    assert only("PatientName=**").matcher == Anything()
    assert only("PatientAge=0*").matcher == Equal("0*")
    assert only("StudyInstanceUID=1.2.*").matcher == OneOf(frozenset({"1.2.*"}))


def test_qry_42_uid_lists() -> None:
    for value in ("1.2,1.3", "1.2%5C1.3", " 1.2 ,, 1.3,"):
        assert only(f"StudyInstanceUID={value}").matcher == OneOf(frozenset({"1.2", "1.3"}))
    assert only("0040A124=1.2,1.3").matcher == OneOf(frozenset({"1.2", "1.3"}))


def test_qry_43_nul_in_a_filter() -> None:
    assert only("Modality=X%00").matcher == Equal("x")


def test_tag_23_times_and_numbers() -> None:
    assert only("SeriesTime=10").matcher == Equal("100000000000")
    assert only("SeriesTime=10-1030").matcher == Between("100000000000", "103000000000")
    assert only("AcquisitionDateTime=2023").matcher == Equal("20230101000000000000")
    assert only("AcquisitionDateTime=2023-2024").matcher == Between("20230101000000000000", "20240101000000000000")
    assert only("InstanceNumber=0003").matcher == Equal("3")
    assert only("00189073=1e1").matcher == Equal("10.0")


def test_tag_24_values_that_do_not_fit() -> None:
    assert refusal("InstanceNumber=1.5").endswith("is not a valid long value.")
    assert refusal("00189073=x").endswith("is not a valid double value.")
    assert refusal("SeriesTime=25x").startswith(
        "Invalid query: specified Time value '25x' is invalid for parameter 'SeriesTime'. "
    )
    assert refusal("SeriesTime=11-10").startswith("Invalid query: specified time range '11-10' is invalid. ")
    assert refusal("AcquisitionDateTime=20230101%2B0100").startswith("Invalid query: ")
    assert refusal("AcquisitionDateTime=20230101-0500").startswith("Invalid query: ")
    for query in ("InstanceNumber=x", "00189073=", "SeriesTime=-", "AcquisitionDateTime=20231301"):
        assert refusal(query).startswith("Invalid query: ")


def test_tag_11_disabled_tags() -> None:
    assert refusal("DeviceSerialNumber=x") == "Query is disabled on specified attribute 'DeviceSerialNumber'."


def test_qry_13_only_other_attributes_need_the_tags() -> None:
    assert not parameters.names_others(query_pairs(b"PatientName=x&0020000d=1&Limit=1&includefield=Rows"))
    assert parameters.names_others(query_pairs(b"PatientAge=1&PatientName=x"))


def test_tag_22_levels_of_extended_tags() -> None:
    assert filters("PatientAge=030Y", parameters.STUDIES)[0].column == "00101010_1"
    assert filters("PatientID=030Y", parameters.STUDIES)[0].column == "00100020"
    assert "is not queryable" in refusal("PatientAge=030Y", parameters.SERIES_OF_STUDY)
    assert "is not queryable" in refusal("InstanceNumber=1", parameters.SERIES)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(list(RESOURCES.values())), st.booleans())
def test_qry_06_any_query_string_is_read_or_refused(query: bytes, resource: Resource, fuzzy: bool) -> None:
    """500 examples."""
    pairs = query_pairs(query)
    with contextlib.suppress(InvalidRequest):
        requested_page(pairs)
        requested_fuzzy_matching(pairs)
        parameters.refuse_repeated_keys(pairs)
        parameters.requested_fields(pairs)
        found = parameters.requested_filters(pairs, resource, fuzzy=fuzzy, extended=EXTENDED)
        assert all(each.level in resource.levels for each in found)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from([*SEARCHABLE, *EXTENDED]), st.text(max_size=40), st.booleans())
def test_qry_06_any_value_is_read_or_refused(tag: str, value: str, fuzzy: bool) -> None:
    """500 examples."""
    with contextlib.suppress(InvalidRequest):
        (found,) = parameters.requested_filters([(tag, value)], parameters.INSTANCES, fuzzy=fuzzy, extended=EXTENDED)
        assert found.matcher.matches(None) is (found.matcher == Anything())
        assert found.matcher.matches(value) in (True, False)
