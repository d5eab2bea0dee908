"""Store by URL: negotiation, framing, outcomes, the answer, and what is left behind."""

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.made_files import BOUNDARY, STORE_HEADERS, made_file, new_uid, store_body
from tests.support.processes import LocalHost
from tests.support.stow import new_triple, part, send, store, upsert

pytestmark = pytest.mark.integration

DICOM = {"Content-Type": "application/dicom", "Accept": "application/dicom+json"}
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
BAD_UID = (
    "Dicom element 'StudyInstanceUid' failed validation for VR 'UI': DICOM Identifier is invalid. Value length should "
    "not exceed the maximum length of 64 characters. Value should contain characters in '0'-'9' and '.'. Each "
    "component must start with non-zero number."
)
NOTHING = b"--" + BOUNDARY.encode() + b"--\r\n"


@pytest.fixture
def studies(base_url: str) -> str:
    return f"{base_url}/v2/studies"


def exists(base_url: str, study: str) -> bool:
    """Whether a search finds the study."""
    response = httpx.get(f"{base_url}/v2/studies?StudyInstanceUID={study}", headers={"Accept": "application/json"})
    assert response.status_code in (200, 204)
    return response.status_code == 200


# ------------------------------------------------------------------ endpoints and forms


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("study_in_path", [False, True])
def test_multipart_and_single(studies: str, method: str, study_in_path: bool) -> None:
    """STO-1, STO-2, STO-3, STO-4: both forms on both paths; query parameters are ignored."""
    one, two = new_triple(), new_triple()
    path = f"{studies}/{one.study}" if study_in_path else studies
    answer = send(method, f"{path}?x=y", store_body([one.file()]), STORE_HEADERS)
    assert (answer.status, len(answer.stored)) == (200, 1)
    path = f"{studies}/{two.study}" if study_in_path else studies
    answer = send(method, path, two.file(), DICOM)
    assert (answer.status, len(answer.stored)) == (200, 1)


def test_chunked_bodies(studies: str) -> None:
    """STO-1: pieces of any size, with and without Content-Length."""
    file = new_triple().file()

    def pieces(body: bytes) -> Iterator[bytes]:
        for start in range(0, len(body), 10):
            yield body[start : start + 10]

    assert send("POST", studies, pieces(store_body([file])), STORE_HEADERS).status == 200
    assert send("PUT", studies, pieces(file), DICOM).status == 200


def test_files_of_several_studies(base_url: str) -> None:
    """STO-1, STO-40: items in the order of the body, whatever their study."""
    triples = [new_triple() for _ in range(4)]
    order = [triples[0], triples[1], triples[0].sibling(), triples[2], triples[1].sibling(), triples[3]]
    answer = store(base_url, *(triple.file() for triple in order))
    assert answer.status == 200
    assert [item["00081155"]["Value"][0] for item in answer.stored] == [triple.instance for triple in order]
    assert all(exists(base_url, triple.study) for triple in triples)


# ------------------------------------------------------------------ negotiation and the order of checks


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/dicom+json", "application/octet-stream", "multipart/mixed; boundary=b", "dicom"],
)
def test_unsupported_type_comes_first(studies: str, content_type: str) -> None:
    """STO-5, STO-6, STO-13: before Accept and before the study of the path; without a text."""
    answer = send("POST", f"{studies}/x", b"x", {"Content-Type": content_type})
    assert (answer.status, answer.text) == (415, "")


@pytest.mark.parametrize("accept", [None, "", "application/dicom", "application/dicom+xml", "image/png", "nonsense"])
def test_accept_comes_second(studies: str, accept: str | None) -> None:
    """STO-5, STO-10: before the study of the path, and before the missing Content-Type of an empty body."""
    headers = {} if accept is None else {"Accept": accept}
    for path in (studies, f"{studies}/x"):
        for content, content_type in ((b"", {}), (b"x", {"Content-Type": "application/dicom"})):
            answer = send("POST", path, content, {**headers, **content_type})
            assert (answer.status, answer.text) == (406, "")


@pytest.mark.parametrize(
    "accept", ["application/dicom+json", "APPLICATION/*; q=0.1", "*/*", "image/png, application/json"]
)
def test_accepted_types(studies: str, accept: str) -> None:
    """STO-11: whichever is asked for, the answer's type is the same, and bare."""
    answer = send("POST", studies, new_triple().file(), {"Content-Type": "application/dicom", "Accept": accept})
    assert answer.status == 200
    assert answer.response.headers["content-type"] == "application/dicom+json"


def test_study_of_the_path_comes_third(studies: str) -> None:
    """STO-5, STO-6: before the missing Content-Type."""
    for uid in ("x", "1.2.", "1" * 65, "1.2.840.%C3%A4", "-1"):
        answer = send("POST", f"{studies}/{uid}", b"", {"Accept": "*/*"})
        assert (answer.status, answer.text) == (400, BAD_UID)
        assert answer.response.headers["content-type"] == "text/plain; charset=utf-8"


def test_missing_type_comes_fourth(studies: str) -> None:
    """STO-5, STO-13: before unusable expiry headers."""
    answer = send("POST", studies, b"", {"Accept": "*/*", "msdicom-expiry-time-milliseconds": "x"})
    assert (answer.status, answer.text) == (415, "The specified content type '' is not supported.")


def test_expiry_comes_fifth(studies: str) -> None:
    """STO-5, STO-122: before the boundary."""
    headers = {"Accept": "*/*", "Content-Type": "multipart/related", "msdicom-expiry-time-milliseconds": "x"}
    answer = send("POST", studies, b"", headers)
    assert answer.status == 400
    assert "msdicom-expiry-time-milliseconds" in answer.text


def test_boundary_comes_sixth(studies: str) -> None:
    """STO-5, STO-15, STO-16: before the body."""
    for value in ("multipart/related", "multipart/related; type=application/dicom", 'multipart/related; boundary=""'):
        answer = send("POST", studies, b"x", {"Accept": "*/*", "Content-Type": value})
        message = f"The content type '{value}' is either not multipart or is missing boundary."
        assert (answer.status, answer.text) == (415, message)
    value = f"multipart/related; boundary={BOUNDARY}; start=x"
    answer = send("POST", studies, NOTHING, {"Accept": "*/*", "Content-Type": value})
    assert answer.status == 400
    assert answer.text == "The start parameter in multipart/related request is not supported."


@pytest.mark.parametrize(
    "content_type",
    [
        f"multipart/related; boundary={BOUNDARY}",
        f"Multipart/Related; Type=application/dicom; BOUNDARY={BOUNDARY}",
        f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"',
        f"multipart/related;boundary={BOUNDARY};type=text/plain",
    ],
)
def test_forms_of_the_header(studies: str, content_type: str) -> None:
    """STO-17"""
    body = store_body([new_triple().file()])
    assert send("POST", studies, body, {"Accept": "*/*", "Content-Type": content_type}).status == 200


def test_content_encoding(studies: str) -> None:
    """STO-18"""
    answer = send("POST", studies, b"x", {**DICOM, "Content-Encoding": "gzip"})
    assert (answer.status, answer.text) == (415, "")
    assert send("POST", studies, new_triple().file(), {**DICOM, "Content-Encoding": "identity"}).status == 200


# ------------------------------------------------------------------ bodies


def test_framing_is_no_content(studies: str, base_url: str) -> None:
    """STO-20: preamble, epilogue and padding are ignored; line ends at the end of a file belong to it."""
    triple = new_triple()
    file = triple.file() + b"\xfc\xff\xfc\xffOB\0\0\x04\0\0\0\r\n\r\n"
    body = b"ignored\r\n" + part(file, "Content-Type: application/dicom") + NOTHING + b"ignored"
    assert send("POST", studies, body, STORE_HEADERS).status == 200


def test_other_part_headers_are_ignored(studies: str) -> None:
    """STO-21, STO-23: names and types without regard to case, with parameters; a first part without a type."""
    headers = (
        "Content-Disposition: x",
        "Content-Length: 3",
        "CONTENT-TYPE: Application/DICOM; transfer-syntax=*",
        "A: b",
    )
    assert send("POST", studies, part(new_triple().file(), *headers) + NOTHING, STORE_HEADERS).status == 200
    assert send("POST", studies, part(new_triple().file()) + NOTHING, STORE_HEADERS).status == 200


def test_unsupported_parts(studies: str, base_url: str) -> None:
    """STO-21, STO-23: one refuses the whole request, and nothing of it is stored."""
    first = new_triple()
    good = part(first.file(), "Content-Type: application/dicom")
    for bad, named in (
        (part(b"{}", "Content-Type: application/json"), "application/json"),
        (part(new_triple().file()), ""),
        (part(b"x", "Content-Type: nonsense"), "nonsense"),
    ):
        answer = send("POST", studies, good + bad + good + NOTHING, STORE_HEADERS)
        assert (answer.status, answer.text) == (415, f"The specified content type '{named}' is not supported.")
    assert not exists(base_url, first.study)
    headers = {"Accept": "*/*", "Content-Type": f"multipart/related; boundary={BOUNDARY}"}
    assert send("POST", studies, part(first.file()) + NOTHING, headers).status == 415
    headers["Content-Type"] += "; type=text/plain"
    answer = send("POST", studies, part(first.file()) + NOTHING, headers)
    assert (answer.status, answer.text) == (415, "The specified content type 'text/plain' is not supported.")


def test_octet_stream_parts(studies: str) -> None:
    """STO-24"""
    for method in ("POST", "PUT"):
        body = part(
            new_triple().file(),
            'Content-Disposition: attachment; name="file"',
            "Content-Type: application/octet-stream",
        )
        assert send(method, studies, body + NOTHING, STORE_HEADERS).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_curl_with_a_form(studies: str, method: str, tmp_path: Path) -> None:
    """STO-24, STO-25: curl appends its boundary to a multipart/related header; without the header it sends a form."""
    path = tmp_path / "instance.dcm"
    path.write_bytes(new_triple().file())
    command = ["curl", "-s", "-o", "-", "-w", "%{http_code}", "-X", method, studies, "-F", f"file=@{path}"]
    related = ["-H", "Content-Type: multipart/related; type=application/dicom"]
    output = subprocess.run([*command, *related], capture_output=True, check=True, timeout=60).stdout.decode()
    assert output.endswith("200")
    assert len(json.loads(output[:-3])["00081199"]["Value"]) == 1
    form = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.decode()
    assert form == "415"


@pytest.mark.parametrize("body", [NOTHING, b"--" + BOUNDARY.encode() + b"\r\n\r\n" + NOTHING])
def test_no_parts(studies: str, body: bytes) -> None:
    """STO-26, STO-41"""
    answer = send("POST", studies, body, STORE_HEADERS)
    assert (answer.status, answer.text) == (204, "")


@pytest.mark.parametrize("body", [b"", b"\r\n", b"no boundary at all", b"--another--\r\n"])
def test_boundary_that_never_occurs(studies: str, body: bytes) -> None:
    """STO-27"""
    answer = send("POST", studies, body, STORE_HEADERS)
    assert answer.status == 400
    assert answer.response.headers["content-type"] == "text/plain; charset=utf-8"


def test_last_part_without_an_end(studies: str, base_url: str) -> None:
    """STO-28: refused as a whole; neither the torn part nor the one before it is stored."""
    first, second = new_triple(), new_triple()
    body = store_body([first.file(), second.file()])
    for cut in (len(NOTHING) - 2, 2, 40):
        assert send("POST", studies, body[:-cut], STORE_HEADERS).status == 400
    assert not exists(base_url, first.study)
    assert not exists(base_url, second.study)


@pytest.mark.parametrize("content", [b"", b"DICM", b"x" * 131, b"x" * 1000, bytes(128) + b"DICM", b'{"a": 1}' * 50])
def test_no_dicom(studies: str, base_url: str, content: bytes) -> None:
    """STO-29, STO-91: the instance fails, with nothing but the reason."""
    expected = {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [43264]}}]}}
    for answer in (send("POST", studies, content, DICOM), store(base_url, content), upsert(base_url, content)):
        assert (answer.status, answer.response.json()) == (409, expected)


def test_unreadable_next_to_good(base_url: str) -> None:
    """STO-42"""
    triple = new_triple()
    answer = store(base_url, b"x" * 200, triple.file(), b"")
    assert (answer.status, answer.reasons, len(answer.stored)) == (202, [43264, 43264], 1)
    assert exists(base_url, triple.study)


def test_bare_data_set_and_missing_preamble(studies: str) -> None:
    """STO-30: both are read."""
    one, two = new_triple(), new_triple()
    with_meta = one.file()[128 + 4 :]
    assert send("POST", studies, with_meta, DICOM).status in (200, 202)
    file = two.file()
    length = int.from_bytes(file[140:144], "little")
    assert send("POST", studies, file[144 + length :], DICOM).status in (200, 202)


def test_limit_of_a_file(start_host: Callable[..., LocalHost]) -> None:
    """STO-31: exactly the limit is fine; above it the whole request is refused, whatever its form."""
    small = new_triple()
    exact = small.file(PatientComments="x" * 1000)
    limit = len(exact)
    host = start_host({"DICOM_MAX_FILE_BYTES": str(limit)})
    studies, message = f"{host.url}/v2/studies", f"The request exceeded the allowed limit of {limit} bytes."
    large = small.file(PatientComments="x" * 1002)
    assert send("POST", studies, exact, DICOM).status == 200
    first = new_triple()
    for answer in (
        send("POST", studies, large, DICOM),
        send("POST", studies, iter([large]), DICOM),
        store(host.url, first.file(), large),
    ):
        assert (answer.status, answer.text) == (413, message)
        assert answer.response.headers["content-type"] == "text/plain; charset=utf-8"
    assert not exists(host.url, first.study)
    assert store(host.url, *(new_triple().file() for _ in range(10))).status == 200


# ------------------------------------------------------------------ early answers


def raw_store(base_url: str, head: str, body: bytes) -> bytes:
    """Sends a request byte for byte and reads until the server closes."""
    address = urlsplit(base_url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=60) as connection:
        connection.sendall(f"{head}\r\nHost: {address.netloc}\r\nConnection: close\r\n\r\n".encode())
        for start in range(0, len(body), 65536):
            connection.sendall(body[start : start + 65536])
        answer = b""
        while received := connection.recv(65536):
            answer += received
    return answer


@pytest.mark.parametrize("head", ["Content-Type: text/plain\r\nAccept: */*", "Content-Type: application/dicom"])
def test_early_answers_reach_a_client_that_sends_on(base_url: str, head: str) -> None:
    """STO-5: up to 64 MB are drained, so that the status arrives and not a reset connection."""
    length = 40_000_000
    answer = raw_store(base_url, f"POST /v2/studies HTTP/1.1\r\n{head}\r\nContent-Length: {length}", bytes(length))
    assert answer.split(b" ", 2)[1] in (b"415", b"406")


def test_refused_part_in_a_long_body(base_url: str) -> None:
    """STO-5, STO-23"""
    body = part(b"x", "Content-Type: text/plain") + part(bytes(20_000_000), "Content-Type: application/dicom") + NOTHING
    head = f"POST /v2/studies HTTP/1.1\r\nContent-Type: multipart/related; boundary={BOUNDARY}\r\nAccept: */*"
    answer = raw_store(base_url, f"{head}\r\nContent-Length: {len(body)}", body)
    assert answer.split(b" ", 2)[1] == b"415"


def test_expect_continue(base_url: str) -> None:
    """STO-18: 100 before the body is read, or the final status at once."""
    address = urlsplit(base_url)
    file = new_triple().file()

    def first_line(content_type: str) -> tuple[bytes, socket.socket]:
        connection = socket.create_connection((address.hostname or "", address.port or 0), timeout=30)
        head = f"POST /v2/studies HTTP/1.1\r\nHost: {address.netloc}\r\nAccept: */*\r\nExpect: 100-continue\r\n"
        connection.sendall(f"{head}Content-Type: {content_type}\r\nContent-Length: {len(file)}\r\n\r\n".encode())
        return connection.recv(65536), connection

    answer, connection = first_line("application/dicom")
    with connection:
        assert answer.startswith(b"HTTP/1.1 100")
        connection.sendall(file)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    began = time.monotonic()
    answer, connection = first_line("text/plain")
    with connection:
        assert answer.startswith(b"HTTP/1.1 415")
        assert time.monotonic() - began < 5


# ------------------------------------------------------------------ outcomes


def test_stored_item(base_url: str) -> None:
    """STO-90, STO-92, STO-93: exactly these keys, and a URL that can be followed."""
    triple = new_triple()
    answer = store(base_url, triple.file())
    assert answer.status == 200
    assert answer.response.json() == {
        "00081199": {
            "vr": "SQ",
            "Value": [
                {
                    "00081150": {"vr": "UI", "Value": [SECONDARY_CAPTURE]},
                    "00081155": {"vr": "UI", "Value": [triple.instance]},
                    "00081190": {"vr": "UR", "Value": [f"{base_url}/v2{triple.path}"]},
                    "00741048": {"vr": "SQ"},
                }
            ],
        }
    }


def test_warned_item(base_url: str) -> None:
    """STO-41, STO-70, STO-71, STO-76, STO-90: only the instance at fault has a warning and its comments."""
    clean, faulty = new_triple(), new_triple()
    answer = store(base_url, clean.file(), faulty.file(StudyDate=("00080020", "DA", "x"), AccessionNumber="1" * 17))
    assert (answer.status, answer.warnings) == (202, [None, 1])
    assert answer.comments(answer.stored) == [
        [],
        [
            'DICOM100: (0008,0020) - Content "x" does not validate VR DA: one of the date values does not match the '
            "pattern YYYYMMDD",
            f'DICOM100: (0008,0050) - Content "{"1" * 17}" does not validate VR SH: value exceeds maximum length of 16 '
            "characters",
        ],
    ]
    assert list(answer.response.json()) == ["00081199"]


def test_study_of_the_path(base_url: str) -> None:
    """STO-50, STO-92: others fail, its own are stored and the study's URL is at the top."""
    triple, stranger = new_triple(), new_triple()
    answer = store(base_url, stranger.file(), triple.file(), study=triple.study)
    assert (answer.status, answer.reasons, len(answer.stored)) == (202, [43264], 1)
    assert answer.comments(answer.failed) == [
        ["DICOM100: (0020,000d) - The StudyInstanceUid in the payload does not match the specified StudyInstanceUid."]
    ]
    assert answer.response.json()["00081190"] == {"vr": "UR", "Value": [f"{base_url}/v2/studies/{triple.study}"]}
    assert list(answer.response.json()) == ["00081190", "00081198", "00081199"]
    assert not exists(base_url, stranger.study)
    answer = store(base_url, stranger.file(), study=triple.study)
    assert answer.status == 409
    assert list(answer.response.json()) == ["00081198"]


def test_padding_of_the_path(base_url: str) -> None:
    """STO-47, STO-50: trailing spaces make no difference, in the path and in the file."""
    triple = new_triple()
    padded = made_file(f"{triple.study}   ", triple.series, triple.instance)
    assert store(base_url, padded, study=f"{triple.study}%20").status == 200
    assert store(base_url, triple.file(), study=triple.study).reasons == [45070]
    assert exists(base_url, triple.study)


def test_duplicate(base_url: str) -> None:
    """STO-44: refused in exactly this form; what is stored stays as it was."""
    triple = new_triple()
    assert store(base_url, triple.file(PatientID="first")).status == 200
    answer = store(base_url, triple.file(PatientID="second"))
    assert answer.status == 409
    assert answer.response.json() == {
        "00081198": {
            "vr": "SQ",
            "Value": [
                {
                    "00081150": {"vr": "UI", "Value": [SECONDARY_CAPTURE]},
                    "00081155": {"vr": "UI", "Value": [triple.instance]},
                    "00081197": {"vr": "US", "Value": [45070]},
                }
            ],
        }
    }
    found = httpx.get(f"{base_url}/v2/studies?StudyInstanceUID={triple.study}", headers={"Accept": "*/*"}).json()
    assert found[0]["00100020"]["Value"] == ["first"]


def test_same_instance_twice_in_a_post(base_url: str) -> None:
    """STO-45"""
    triple = new_triple()
    answer = store(base_url, triple.file(), triple.file(), triple.sibling().file())
    assert (answer.status, answer.reasons, len(answer.stored)) == (202, [45070], 2)


def test_identity_is_the_triple(base_url: str) -> None:
    """STO-46: the same instance UID elsewhere is another instance; all three may be equal."""
    uid, other = new_uid(), new_uid()
    files = [made_file(uid, uid, uid), made_file(uid, other, uid), made_file(other, uid, uid)]
    answer = store(base_url, *files)
    assert (answer.status, len(answer.stored)) == (200, 3)


@pytest.mark.parametrize(
    ("elements", "comment"),
    [
        ({"SeriesInstanceUID": ""}, "DICOM100: (0020,000e) - The required tag '(0020,000e)' is missing."),
        ({"PatientID": "x" * 65}, "DICOM100: (0010,0020) - Dicom element 'PatientID' failed validation for VR 'LO': "
                                  "Value length exceeds maximum length of 64."),
        ({"StudyInstanceUID": "abc.123"}, "DICOM100: (0020,000d) - " + BAD_UID.replace("Uid'", "UID'")),
    ],
)  # fmt: skip
def test_required_attributes(base_url: str, elements: dict[str, str], comment: str) -> None:
    """STO-43, STO-60, STO-62, STO-65: failed, with the reasons; its neighbour is stored."""
    answer = store(base_url, new_triple().file(**elements), new_triple().file())
    assert (answer.status, answer.reasons, len(answer.stored)) == (202, [43264], 1)
    assert answer.comments(answer.failed) == [[comment]]


def test_nothing_else_is_required(base_url: str) -> None:
    """STO-67, STO-70: the five required attributes are a clean file; the SOP class asks for no more."""
    ct = "1.2.840.10008.5.1.4.1.1.2"
    answer = store(base_url, new_triple().file(SOPClassUID=ct, Modality="", SpecificCharacterSet=""))
    assert (answer.status, answer.warnings) == (200, [None])
    assert answer.stored[0]["00081150"]["Value"] == [ct]


def test_latest_values_of_the_study(base_url: str) -> None:
    """STO-103: a later non-empty value wins, an empty or absent one erases nothing."""
    first, name = new_triple(), new_uid()
    second, third = first.sibling(), first.sibling()
    assert store(base_url, first.file(AccessionNumber="1", StudyDescription=name)).status == 200
    assert store(base_url, second.file(AccessionNumber="2", StudyDescription="")).status == 200
    assert store(base_url, third.file(AccessionNumber="")).status == 200
    query = f"StudyInstanceUID={first.study}&includefield=StudyDescription"
    found = httpx.get(f"{base_url}/v2/studies?{query}", headers={"Accept": "*/*"}).json()
    assert [each["00080050"]["Value"] for each in found] == [["2"]]
    assert [each["00081030"]["Value"] for each in found] == [[name]]
    for number, status in (("1", 204), ("2", 200)):
        query = f"StudyInstanceUID={first.study}&AccessionNumber={number}"
        assert httpx.get(f"{base_url}/v2/studies?{query}", headers={"Accept": "*/*"}).status_code == status


def test_several_values_of_a_required_attribute(base_url: str) -> None:
    """STO-65, STO-81: stored with a warning, and a header that names the host without its port."""
    answer = store(base_url, new_triple().file(PatientID=["A1", "B2"]))
    assert (answer.status, answer.warnings) == (202, [1])
    host = urlsplit(base_url).hostname
    message = "One or more indexed Dicom tag(s) have multiple values, only first value is indexed."
    assert answer.response.headers["warning"] == f'299 {host}: "{message}"'
    assert "warning" not in store(base_url, new_triple().file()).response.headers


def test_urls_behind_a_proxy(base_url: str) -> None:
    """STO-93, STO-94, PLT-10"""
    triple = new_triple()
    answer = store(
        base_url,
        triple.file(),
        study=triple.study,
        X_Forwarded_Host="dicom.example:8443",
        X_Forwarded_Prefix="/workspace/dicom",
        X_Forwarded_Proto="https",
    )
    url = answer.stored[0]["00081190"]["Value"][0]
    assert url == f"https://dicom.example:8443/workspace/dicom{triple.path}"
    again = upsert(base_url, triple.file(), version="v1", X_Forwarded_Host="other.example")
    assert again.stored[0]["00081190"]["Value"][0] == f"http://other.example/v1{triple.path}"


def test_public_url(start_host: Callable[..., LocalHost]) -> None:
    """PLT-10: the setting wins over every header."""
    host = start_host({"DICOM_PUBLIC_URL": "https://public.example/"})
    triple = new_triple()
    answer = store(host.url, triple.file(), X_Forwarded_Host="other", X_Forwarded_Prefix="/x")
    assert answer.stored[0]["00081190"]["Value"][0] == f"https://public.example/v2{triple.path}"


def test_duplicates_as_the_setting_says(start_host: Callable[..., LocalHost]) -> None:
    """STO-170: 202 for duplicates alone; the body stays, and any other failure is a conflict."""
    host = start_host({"DICOM_DUPLICATES": "warn"})
    triple = new_triple()
    assert store(host.url, triple.file()).status == 200
    answer = store(host.url, triple.file())
    assert (answer.status, answer.reasons, answer.stored) == (202, [45070], [])
    assert store(host.url, triple.file(), b"x").status == 409


def test_version_1(base_url: str) -> None:
    """STO-160, STO-161: an invalid searchable attribute fails, one that is not searchable is not looked at."""
    answer = store(base_url, new_triple().file(StudyDate=("00080020", "DA", "x")), version="v1")
    assert (answer.status, answer.reasons) == (409, [43264])
    rule = "Dicom element 'StudyDate' failed validation for VR 'DA': Value cannot be parsed as a valid date."
    assert answer.comments(answer.failed) == [[f"DICOM100: (0008,0020) - {rule}"]]
    answer = store(base_url, new_triple().file(PatientAge=("00101010", "AS", "x")), version="v1")
    assert answer.status == 200
    assert set(answer.stored[0]) == {"00081150", "00081155", "00081190"}


# ------------------------------------------------------------------ PUT


def test_upsert(base_url: str) -> None:
    """STO-110, STO-111: 200 for a new one and for one that is there; the new values are found, the old are not."""
    triple = new_triple()
    first, second = new_uid(), new_uid()
    assert upsert(base_url, triple.file(PatientID=first)).status == 200
    assert upsert(base_url, triple.file(PatientID=second)).status == 200
    found = [
        httpx.get(f"{base_url}/v2/instances?PatientID={value}", headers={"Accept": "*/*"}) for value in (first, second)
    ]
    assert [response.status_code for response in found] == [204, 200]
    assert len(found[1].json()) == 1
    assert store(base_url, triple.file()).reasons == [45070]


def test_refused_upsert_changes_nothing(base_url: str) -> None:
    """STO-113"""
    triple = new_triple()
    patient = new_uid()
    assert upsert(base_url, triple.file(PatientID=patient)).status == 200
    assert upsert(base_url, triple.file(PatientID="x" * 65)).reasons == [43264]
    assert upsert(base_url, triple.file(PatientID="other"), study=new_uid()).reasons == [43264]
    assert httpx.get(f"{base_url}/v2/studies?PatientID={patient}", headers={"Accept": "*/*"}).status_code == 200


def test_same_instance_twice_in_a_put(base_url: str) -> None:
    """STO-114: both are reported as stored, the last one remains."""
    triple = new_triple()
    last = new_uid()
    answer = upsert(base_url, triple.file(PatientID=new_uid()), triple.file(PatientID=last))
    assert (answer.status, len(answer.stored)) == (200, 2)
    found = httpx.get(f"{base_url}/v2/instances?StudyInstanceUID={triple.study}", headers={"Accept": "*/*"}).json()
    assert len(found) == 1
    assert httpx.get(f"{base_url}/v2/studies?PatientID={last}", headers={"Accept": "*/*"}).status_code == 200


# ------------------------------------------------------------------ expiry


def test_expiry_headers_are_accepted(base_url: str) -> None:
    """STO-120, STO-122: on POST and PUT; unusable ones refuse the request, and nothing is stored."""
    day = {"msdicom_expiry_time_milliseconds": "86400000"}
    every = {**day, "msdicom_expiry_option": "RelativeToNow", "msdicom_expiry_level": "Study"}
    for headers in (day, every):
        assert store(base_url, new_triple().file(), **headers).status == 200
        assert upsert(base_url, new_triple().file(), **headers).status == 200
    triple = new_triple()
    for headers in ({**every, "msdicom_expiry_level": "Series"}, {"msdicom_expiry_time_milliseconds": "0"}):
        answer = upsert(base_url, triple.file(), **headers)
        assert answer.status == 400
        assert answer.text
    assert not exists(base_url, triple.study)


def test_the_documented_expiry_example(studies: str, base_url: str, tmp_path: Path) -> None:
    """STO-24, STO-120: the documented curl command as it is written."""
    triple = new_triple()
    (tmp_path / "instance.dcm").write_bytes(triple.file())
    command = f"""curl -s -X PUT {studies} \\
      -H "Content-Type: multipart/related; type=application/dicom" \\
      -H "msdicom-expiry-time-milliseconds: 86400000" \\
      -H "msdicom-expiry-option: RelativeToNow" \\
      -H "msdicom-expiry-level: Study" \\
      -F "file=@instance.dcm" """
    output = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, check=True, timeout=60).stdout
    assert len(json.loads(output)["00081199"]["Value"]) == 1
    assert exists(base_url, triple.study)


@pytest.mark.parametrize(
    "setting", [{"EXPIRY_INTERVAL_SECONDS": "0"}, {"DICOM_DUPLICATES": "maybe"}, {"DICOM_MAX_FILE_BYTES": "1.5"}]
)
def test_unusable_settings_stop_the_start(
    store_settings: dict[str, str], setting: dict[str, str], tmp_path: Path
) -> None:
    """STO-123, STO-171: with a message that names the setting."""
    host = LocalHost({**store_settings, **setting}, 1, tmp_path / "host.log")
    try:
        assert host.process.wait(60) != 0
        assert next(iter(setting)) in host.output()
    finally:
        host.stop()


def test_expired_studies_go(start_host: Callable[..., LocalHost]) -> None:
    """STO-120, STO-121, STO-123: the last request decides; the timer deletes what has expired and tells the feed."""
    host = start_host({"EXPIRY_INTERVAL_SECONDS": "1"})
    began = datetime.now(UTC).isoformat()
    kept, cleared, expired = new_triple(), new_triple(), new_triple()
    soon = {"msdicom_expiry_time_milliseconds": "1500"}
    assert store(host.url, kept.file()).status == 200
    assert store(host.url, cleared.file(), **soon).status == 200
    assert store(host.url, cleared.sibling().file()).status == 200
    assert store(host.url, expired.file(), **soon).status == 200
    assert exists(host.url, expired.study)
    end = time.monotonic() + 30
    while exists(host.url, expired.study):
        assert time.monotonic() < end, "the study did not expire"
        time.sleep(0.2)
    window = {"startTime": began, "limit": "200", "includeMetadata": "false"}
    entries = httpx.get(f"{host.url}/v2/changefeed", params=window).json()
    own = [(entry["action"], entry["state"]) for entry in entries if entry["studyInstanceUid"] == expired.study]
    assert own == [("Create", "Deleted"), ("Delete", "Deleted")]
    assert exists(host.url, kept.study)
    assert exists(host.url, cleared.study)
