"""What searches find: every searchable attribute, both ways of naming it, every kind of matching."""

from dataclasses import dataclass

import pytest

from tests.support.made_files import made_file, new_uid, store
from tests.support.searches import Searcher, values

pytestmark = pytest.mark.integration

STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"


@dataclass(frozen=True)
class Archive:
    """Three studies of one test run, told from everything else by their AccessionNumber: `T` and a letter."""

    search: Searcher
    token: str
    studies: dict[str, str]
    series: dict[str, str]
    instances: dict[str, str]

    def found(self, path: str, *filters: tuple[str, str], query: str = "") -> str:
        """Letters of what is found, sorted: `AB`, or `A1 A2` for series and instances."""
        level, names = {
            "studies": (STUDY, self.studies),
            "series": (SERIES, self.series),
            "instances": (INSTANCE, self.instances),
        }[path.rpartition("/")[2]]
        known = {uid: name for name, uid in names.items()}
        items = self.search.find(path, *filters, query=query)
        return " ".join(sorted(known[uid] for uid in values(items, level) if uid in known))

    def mine(self, key: str, value: str, query: str = "") -> str:
        """Studies found by one filter, together with the AccessionNumber of this archive."""
        return self.found("/studies", (key, value), ("AccessionNumber", f"{self.token}*"), query=query)


@pytest.fixture(scope="module")
def archive(base_url: str) -> Archive:
    return filled_archive(base_url)


def filled_archive(base_url: str) -> Archive:
    """Stores the three studies."""
    token = new_uid()[-6:]
    uids = {name: new_uid() for name in ("A", "B", "C", "A1", "A2", "B1", "C1", "A11", "A12", "A21", "B11", "C11")}
    url = f"{base_url}/v2"
    a = {
        "PatientName": "Doe^John",
        "PatientID": f"{token}-a",
        "PatientBirthDate": "19700102",
        "StudyDate": "20240101",
        "StudyDescription": 'Head CT\'s "100%" a/b#c?d|e',
        "AccessionNumber": f"{token}A",
        "ReferringPhysicianName": "Who^Doctor",
    }
    a1 = {"Modality": "CT", "ManufacturerModelName": "Model X", "PerformedProcedureStepStartDate": "20240103"}
    store(url, made_file(uids["A"], uids["A1"], uids["A11"], **a, **a1))
    store(url, made_file(uids["A"], uids["A1"], uids["A12"], **a, **a1))
    store(url, made_file(uids["A"], uids["A2"], uids["A21"], **a, Modality="MR", ManufacturerModelName="Other"))
    b = {
        "PatientName": "Müller^Zoé Anne=山田^太郎",
        "PatientID": f"{token}-B",
        "PatientBirthDate": "19991231",
        "StudyDate": "20240102",
        "StudyDescription": " Tête ",
        "AccessionNumber": f"{token}B",
        "Modality": "US",
    }
    store(url, made_file(uids["B"], uids["B1"], uids["B11"], **b))
    store(url, made_file(uids["C"], uids["C1"], uids["C11"], PatientID=f"{token}-c", AccessionNumber=f"{token}C"))
    return Archive(
        Searcher(url),
        token,
        {name: uid for name, uid in uids.items() if len(name) == 1},
        {name: uid for name, uid in uids.items() if len(name) == 2},
        {name: uid for name, uid in uids.items() if len(name) == 3},
    )


@pytest.mark.parametrize(
    ("keyword", "tag", "value", "found"),
    [
        ("StudyDate", "00080020", "20240101", "A"),
        ("StudyDescription", "00081030", "tête", "B"),
        ("PatientName", "00100010", "doe^john", "A"),
        ("PatientBirthDate", "00100030", "19991231", "B"),
        ("ReferringPhysicianName", "00080090", "WHO^DOCTOR", "A"),
        ("ModalitiesInStudy", "00080061", "MR", "A"),
        ("ModalitiesInStudy", "00080061", "OT", "C"),
    ],
)
def test_qry_10_qry_13_study_attributes(archive: Archive, keyword: str, tag: str, value: str, found: str) -> None:
    """QRY-10, QRY-13, QRY-30"""
    for key in (keyword, tag, tag.lower()):
        assert archive.mine(key, value) == found


def test_qry_13_identifiers(archive: Archive) -> None:
    """QRY-13: PatientID, AccessionNumber and the UIDs, at every resource that takes them."""
    for path, found in (("/studies", "A"), ("/series", "A1 A2"), ("/instances", "A11 A12 A21")):
        for key in ("PatientID", "00100020"):
            assert archive.found(path, (key, f"{archive.token}-A")) == found
        for key in ("AccessionNumber", "00080050"):
            assert archive.found(path, (key, f"{archive.token}a")) == found
        for key in ("StudyInstanceUID", STUDY):
            assert archive.found(path, (key, archive.studies["A"])) == found
    for key in ("SeriesInstanceUID", SERIES):
        for path in ("/series", f"/studies/{archive.studies['A']}/series"):
            assert archive.found(path, (key, archive.series["A1"])) == "A1"
        for path in ("/instances", f"/studies/{archive.studies['A']}/instances"):
            assert archive.found(path, (key, archive.series["A1"])) == "A11 A12"
    for key in ("SOPInstanceUID", INSTANCE):
        for path in (
            "/instances",
            f"/studies/{archive.studies['A']}/instances",
            f"/studies/{archive.studies['A']}/series/{archive.series['A1']}/instances",
        ):
            assert archive.found(path, (key, archive.instances["A12"])) == "A12"


def test_qry_13_series_attributes(archive: Archive) -> None:
    study = archive.studies["A"]
    for path, first, second in (
        (f"/studies/{study}/series", "A1", "A2"),
        (f"/studies/{study}/instances", "A11 A12", "A21"),
    ):
        for key in ("Modality", "00080060"):
            assert archive.found(path, (key, "ct")) == first
            assert archive.found(path, (key, "MR")) == second
        for key in ("ManufacturerModelName", "00081090"):
            assert archive.found(path, (key, "model x")) == first
        for key in ("PerformedProcedureStepStartDate", "00400244"):
            assert archive.found(path, (key, "20240103")) == first
            assert archive.found(path, (key, "20240104-")) == ""


def test_qry_19_filters_of_all_levels_together(archive: Archive) -> None:
    """QRY-01, QRY-19"""
    patient = ("PatientID", f"{archive.token}-a")
    assert archive.found("/series", patient, ("Modality", "CT")) == "A1"
    assert archive.found("/series", patient, ("Modality", "CT"), ("StudyDate", "20240102")) == ""
    assert archive.found("/instances", patient, ("Modality", "CT"), (INSTANCE, archive.instances["A12"])) == "A12"
    assert archive.found("/instances", ("Modality", "MR"), (STUDY, archive.studies["A"])) == "A21"
    assert archive.found("/instances", patient, (INSTANCE, archive.instances["B11"])) == ""


def test_qry_01_the_same_series_uid_in_two_studies(base_url: str) -> None:
    """QRY-01"""
    search, series, studies = Searcher(f"{base_url}/v2"), new_uid(), sorted([new_uid(), new_uid()])
    store(search.url, *(made_file(study, series, new_uid()) for study in studies[:1]))
    store(search.url, *(made_file(study, series, new_uid()) for study in studies[1:]))
    items = search.find("/series", ("SeriesInstanceUID", series))
    assert sorted(values(items, STUDY)) == studies
    assert len(search.find("/instances", ("SeriesInstanceUID", series))) == 2
    assert len(search.find(f"/studies/{studies[0]}/series", ("SeriesInstanceUID", series))) == 1


def test_qry_02_unknown_uids_in_the_path_find_nothing(archive: Archive) -> None:
    """QRY-02, QRY-05"""
    nobody, known = new_uid(), archive.studies["A"]
    for path in (
        f"/studies/{nobody}/series",
        f"/studies/{nobody}/instances",
        f"/studies/{known}/series/{nobody}/instances",
        f"/studies/{nobody}/series/{archive.series['A1']}/instances",
        f"/studies/{archive.studies['B']}/series/{archive.series['A1']}/instances",
    ):
        response = archive.search.get(path)
        assert (response.status_code, response.content) == (204, b"")
    longest = "1." + "2" * 62
    assert archive.search.get(f"/studies/{longest}/series").status_code == 204
    assert archive.search.get("/studies/1.2%20/series").status_code == 204


def test_qry_30_letter_case_and_padding(archive: Archive) -> None:
    """QRY-30: whole values, letter case and padding aside."""
    assert archive.mine("PatientID", f"{archive.token}-b") == "B"
    assert archive.mine("PatientID", f" {archive.token}-B  ") == "B"
    assert archive.mine("StudyDescription", "Tête") == "B"
    assert archive.mine("PatientID", archive.token) == ""
    assert archive.mine("PatientName", "Doe^John^^") == ""


def test_qry_31_accents(archive: Archive) -> None:
    """QRY-31, QRY-33, QRY-45"""
    assert archive.mine("StudyDescription", "Tete") == ""
    assert archive.mine("PatientName", "muller^zoe anne=山田^太郎") == "B"
    assert archive.mine("PatientName", "MÜLLER^ZOÉ ANNE=山田^太郎") == "B"
    assert archive.mine("PatientName", "muller^zoe anne") == ""
    assert archive.mine("PatientName", "Doe") == ""


def test_qry_34_ranges(archive: Archive) -> None:
    for value, found in (
        ("20240101-20240102", "A B"),
        ("20240102-", "B"),
        ("-20240101", "A"),
        ("20240101 - 20240101", "A"),
        ("19000101-20231231", ""),
    ):
        assert archive.mine("StudyDate", value) == found
    assert archive.mine("PatientBirthDate", "19000101-29991231") == "A B"


def test_qry_36_modalities_in_study(archive: Archive) -> None:
    """QRY-36, QRY-40, QRY-58"""
    both = ("AccessionNumber", f"{archive.token}*")
    assert archive.found("/studies", both, ("ModalitiesInStudy", "CT,US")) == "A B"
    assert archive.found("/studies", both, ("ModalitiesInStudy", "CT\\US")) == "A B"
    assert archive.found("/studies", both, ("ModalitiesInStudy", "m?")) == "A"
    assert archive.found("/studies", both, ("ModalitiesInStudy", "XA")) == ""
    assert archive.found("/series", both, ("ModalitiesInStudy", "MR")) == "A1 A2"
    assert archive.found("/instances", both, ("ModalitiesInStudy", "MR")) == "A11 A12 A21"
    items = archive.search.find("/studies", both, ("ModalitiesInStudy", "MR"))
    assert items[0]["00080061"] == {"vr": "CS", "Value": ["CT", "MR"]}
    items = archive.search.find("/instances", both, ("ModalitiesInStudy", "MR"))
    assert "00080061" not in items[0]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("joh", "A"),
        ("do", "A"),
        ("DOE jo", "A"),
        ("Doe^Jo", "A"),
        ("John Doe", ""),
        ("ohn", ""),
        ("mull zo an", "B"),
        ("zoé", "B"),
        ("太", "B"),
        ("anne 山", "B"),
        ("Z*", ""),
        ("*Z*", "B"),
    ],
)
def test_qry_37_fuzzy_matching(archive: Archive, value: str, found: str) -> None:
    """QRY-37, QRY-41, QRY-45"""
    for flag in ("fuzzymatching=true", "FuzzyMatching=TRUE"):
        assert archive.mine("PatientName", value, flag) == found


def test_qry_38_fuzzy_matching_is_for_names_alone(archive: Archive) -> None:
    """QRY-38"""
    assert archive.mine("ReferringPhysicianName", "doct", "fuzzymatching=true") == "A"
    assert archive.mine("StudyDescription", "Head", "fuzzymatching=true") == ""
    assert archive.mine("PatientName", "doe", "fuzzymatching=false") == ""


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("PatientName", "d*", "A"),
        ("PatientName", "*J?hn", "A"),
        ("PatientName", "*", "A B C"),
        ("PatientName", "?*", "A B"),
        ("PatientName", "MULLER*", "B"),
        ("StudyDescription", "Tê*", "B"),
        ("StudyDescription", "Te*", ""),
        ("StudyDescription", "*a/b#c?d|e", "A"),
        ("StudyDescription", 'head ct\'s "100%"*', "A"),
        ("StudyDescription", "h%", ""),
        ("StudyDescription", "_ead*", ""),
    ],
)
def test_qry_40_qry_41_wildcards(archive: Archive, key: str, value: str, found: str) -> None:
    """QRY-40, QRY-41"""
    assert archive.mine(key, value) == found


def test_qry_40_wildcards_as_they_are_in_the_url(archive: Archive) -> None:
    """QRY-19, QRY-40: unencoded, also a second question mark."""
    mine = f"AccessionNumber={archive.token}*"
    assert archive.found("/studies", query=f"{mine}&PatientName=Doe^J*") == "A"
    assert archive.found("/studies", query=f"{mine}&PatientName=Doe?J?hn") == "A"


def test_qry_41_uids_take_no_wildcards(archive: Archive) -> None:
    assert archive.found("/studies", ("StudyInstanceUID", archive.studies["A"][:-1] + "*")) == ""
    assert archive.found("/studies", ("StudyInstanceUID", "*")) == ""


def test_qry_42_uid_lists(archive: Archive) -> None:
    a, b, nobody = archive.studies["A"], archive.studies["B"], new_uid()
    for value in (f"{a},{b}", f"{a}\\{b}", f" {b} ,,{a},{nobody},1.2.*"):
        assert archive.found("/studies", ("StudyInstanceUID", value)) == "A B"
    first, second = archive.series["A1"], archive.series["A2"]
    for path in (f"/studies/{a}/series", "/series"):
        assert archive.found(path, ("SeriesInstanceUID", f"{first},{second},{nobody}")) == "A1 A2"
        assert archive.found(path, ("SeriesInstanceUID", nobody)) == ""
    several = ",".join(archive.instances.values())
    assert archive.found(f"/studies/{a}/series/{first}/instances", ("SOPInstanceUID", several)) == "A11 A12"
    assert archive.found("/instances", ("SOPInstanceUID", several)) == "A11 A12 A21 B11 C11"
    assert archive.found("/studies", ("StudyInstanceUID", ",".join([new_uid() for _ in range(90)] + [a]))) == "A"


def test_qry_43_trailing_nul(base_url: str) -> None:
    """QRY-43"""
    search, study = Searcher(f"{base_url}/v2"), new_uid()
    store(search.url, made_file(study, new_uid(), new_uid(), Modality="XY\0"))
    for value in ("XY", "XY%00", "xy%00%00"):
        assert len(search.find(f"/studies/{study}/series", query=f"Modality={value}")) == 1


def test_qry_62_faulty_values_are_not_found(base_url: str) -> None:
    """QRY-62: an invalid value is neither indexed nor shown, and does not hide an earlier valid one."""
    search, study, token = Searcher(f"{base_url}/v2"), new_uid(), new_uid()[-9:]
    valid = made_file(study, new_uid(), new_uid(), PatientID=token, StudyDate="20240101")
    store(search.url, made_file(study, new_uid(), new_uid(), PatientID=token, StudyDate="NotADate"))
    assert "00080020" not in search.find("/studies", ("PatientID", token))[0]
    store(search.url, valid)
    store(search.url, made_file(study, new_uid(), new_uid(), PatientID=token, StudyDate="20240231"))
    (item,) = search.find("/studies", ("PatientID", token), ("StudyDate", "19000101-29991231"))
    assert item["00080020"] == {"vr": "DA", "Value": ["20240101"]}
    shown = values(search.find(f"/studies/{study}/instances", query="includefield=StudyDate"), "00080020")
    assert shown == ["20240231", "20240101", None]


def test_search_values_of_any_length_and_kind(archive: Archive) -> None:
    """QRY-06, QRY-19: what cannot be stored is not found; nothing else happens."""
    for value in ("x" * 3000, "*x" * 1000, "?" * 2000, "'", "''", "%00", "a'b", "\\", "𐀀*", "\U0010ffff", "%ED%A0%80"):
        for key in ("PatientName", "PatientID", "AccessionNumber"):
            assert archive.found("/studies", (key, value)) == ""
    assert archive.found("/studies", query="PatientID=%FF%FE") == ""
