"""The dicomweb-client of PyPI through its own API: what a Python program does with the service."""

import io

import numpy as np
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import JPEGBaseline8Bit

from tests.support.made_images import gradient, made_image
from tests.support.retrieving import NOT_ACCEPTABLE
from tests.support.sample_images import SAMPLE_IMAGES

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore::UserWarning:pydicom")]

ELE = "1.2.840.10008.1.2.1"


@pytest.fixture(scope="module")
def client(base_url: str) -> DICOMwebClient:
    return DICOMwebClient(url=f"{base_url}/v2")


def image(study: str, series: str, number: int) -> Dataset:
    dataset = made_image(gradient(20, 30, "<u2", number, 900 + number), NumberOfFrames=1)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.PatientName, dataset.PatientID, dataset.Modality = "Client^Python", f"client-{study[-9:]}", "OT"
    dataset.InstanceNumber = number
    dataset.preamble = bytes(128)  # as data sets have that were read from files
    return dataset


@pytest.fixture
def study(client: DICOMwebClient) -> list[Dataset]:
    """A study of two series with two instances each, stored by the client."""
    first = made_image(gradient(2, 2))
    uids = first.StudyInstanceUID, [first.SeriesInstanceUID, made_image(gradient(2, 2)).SeriesInstanceUID]
    datasets = [image(uids[0], series, number) for series in uids[1] for number in (1, 2)]
    answer = client.store_instances(datasets)
    assert [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence] == [
        dataset.SOPInstanceUID for dataset in datasets
    ]
    assert "FailedSOPSequence" not in answer
    return datasets


def test_search(client: DICOMwebClient, study: list[Dataset]) -> None:
    """STO-90, QRY-01, QRY-12: what was stored is found on all levels"""
    uid, series = study[0].StudyInstanceUID, study[0].SeriesInstanceUID
    [found] = client.search_for_studies(search_filters={"PatientID": study[0].PatientID}, fields=["StudyDescription"])
    assert found["0020000D"]["Value"] == [uid]
    assert len(client.search_for_series(uid)) == 2
    assert len(client.search_for_instances(uid)) == 4
    assert len(client.search_for_instances(uid, series, get_remaining=True, limit=1)) == 2
    assert client.search_for_studies(search_filters={"StudyInstanceUID": "1.2.3.4.5"}) == []


def test_searches_by_filters(client: DICOMwebClient, study: list[Dataset]) -> None:
    """QRY-19, QRY-36 to QRY-42, QRY-54, QRY-58, QRY-71: ranges, lists, wildcards, words of names, fields, pages"""
    one = study[0]
    uid, patient = one.StudyInstanceUID, one.PatientID
    for filters in (
        {"PatientID": f"{patient[:-1]}?"},
        {"PatientID": "cl*" + patient[-9:], "PatientName": "client^PYTHON"},
        {"00100020": patient, "ModalitiesInStudy": "OT"},
        {"StudyInstanceUID": f"1.2.3,{uid}"},
    ):
        [found] = client.search_for_studies(search_filters=filters)
        assert found["0020000D"]["Value"] == [uid], filters
    fields = ["Modality", "Rows", "ModalitiesInStudy", "NumberOfStudyRelatedInstances"]
    [found] = client.search_for_studies(fuzzymatching=True, fields=fields, search_filters={
        "PatientName": "pyt", "PatientID": patient,
    })  # fmt: skip
    assert [found[tag]["Value"] for tag in ("00080060", "00280010", "00080061", "00201208")] == [
        ["OT"],
        [20],
        ["OT"],
        [4],
    ]
    assert client.search_for_studies(search_filters={"PatientID": patient, "StudyDate": "19000101-19000102"}) == []
    [series] = client.search_for_series(search_filters={"SeriesInstanceUID": one.SeriesInstanceUID})
    assert series["0020000E"]["Value"] == [one.SeriesInstanceUID]
    assert len(client.search_for_series(search_filters={"PatientID": patient, "Modality": "OT"})) == 2
    [instance] = client.search_for_instances(search_filters={"SOPInstanceUID": one.SOPInstanceUID})
    assert instance["0020000D"]["Value"] == [uid]
    pages = [client.search_for_instances(uid, limit=1, offset=offset) for offset in range(4)]
    assert [page[0]["00080018"]["Value"][0] for page in pages] == [each.SOPInstanceUID for each in reversed(study)]
    with pytest.raises(requests.HTTPError, match="400"):
        client.search_for_studies(search_filters={"StudyDate": "today"})


def test_metadata(client: DICOMwebClient, study: list[Dataset]) -> None:
    """RET-60, RET-61: at three levels, and pydicom reads it"""
    one = study[0]
    uids = one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID
    assert len(client.retrieve_study_metadata(uids[0])) == 4
    assert len(client.retrieve_series_metadata(*uids[:2])) == 2
    read = Dataset.from_json(client.retrieve_instance_metadata(*uids))
    assert (read.PatientName, read.Rows, read.SOPInstanceUID) == ("Client^Python", 20, one.SOPInstanceUID)


def test_instances(client: DICOMwebClient, study: list[Dataset]) -> None:
    """RET-20, RET-24, RET-26: an instance as stored; studies only with an asterisk"""
    one = study[0]
    got = client.retrieve_instance(one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID)
    assert got.PixelData == one.PixelData
    original = (("application/dicom", "*"),)
    whole = client.retrieve_study(one.StudyInstanceUID, media_types=original)
    assert [dataset.SOPInstanceUID for dataset in whole] == [dataset.SOPInstanceUID for dataset in study]
    series = client.iter_series(one.StudyInstanceUID, one.SeriesInstanceUID, media_types=original)
    assert [dataset.PixelData for dataset in series] == [dataset.PixelData for dataset in study[:2]]
    with pytest.raises(requests.HTTPError, match="406"):
        client.retrieve_study(one.StudyInstanceUID)


def test_frames(client: DICOMwebClient, study: list[Dataset]) -> None:
    """RET-14, RET-42, RET-48"""
    one = study[0]
    uids = one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID
    assert client.retrieve_instance_frames(*uids, [1]) == [one.PixelData]
    explicit = client.retrieve_instance_frames(*uids, [1, 1], media_types=(("application/octet-stream", ELE),))
    assert explicit == [one.PixelData] * 2
    jpeg_2000 = client.retrieve_instance_frames(*uids, [1], media_types=(("image/jp2", "1.2.840.10008.1.2.4.90"),))
    assert jpeg_2000[0].startswith(b"\xff\x4f\xff\x51")


def test_compressed_frames(client: DICOMwebClient) -> None:
    """RET-47, RET-49: a multi-frame JPEG, frame by frame as stored and decoded"""
    sample = next(sample for sample in SAMPLE_IMAGES if sample.name == "examples_ybr_color.dcm")
    dataset = dcmread(io.BytesIO(sample.read()))
    assert dataset.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    uids = dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID
    client.store_instances([dataset])
    try:
        [stored] = client.retrieve_instance_frames(*uids, [30])
        with Image.open(io.BytesIO(stored)) as picture:
            expected = np.asarray(picture)
        [decoded] = client.retrieve_instance_frames(*uids, [30], media_types=(("application/octet-stream", ELE),))
        assert np.array_equal(np.frombuffer(decoded, "u1").reshape(expected.shape), expected)
    finally:
        client.delete_study(uids[0])


def test_rendered(client: DICOMwebClient, study: list[Dataset]) -> None:
    """RET-80, RET-85: with a media type; without one the client sends what the service refuses"""
    one = study[0]
    uids = one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID
    for kind in ("png", "jpeg"):
        picture = client.retrieve_instance_rendered(*uids, media_types=(f"image/{kind}",))
        with Image.open(io.BytesIO(picture)) as read:
            assert (read.format, read.size) == (kind.upper(), (30, 20))
    assert client.retrieve_instance_frames_rendered(*uids, [1], media_types=("image/png",))
    with pytest.raises(requests.HTTPError, match="406") as refused:
        client.retrieve_instance_rendered(*uids)
    assert refused.value.response is not None
    assert refused.value.response.text == NOT_ACCEPTABLE


def test_large_study(client: DICOMwebClient) -> None:
    """STO-1, RET-27: above a million bytes the client sends in chunks"""
    dataset = made_image(np.random.default_rng(1).integers(0, 65535, (1000, 1000)).astype("<u2"))
    dataset.PatientID, dataset.Modality, dataset.preamble = "large", "OT", bytes(128)
    answer = client.store_instances([dataset])
    assert len(answer.ReferencedSOPSequence) == 1
    uids = dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID
    assert client.retrieve_instance(*uids).PixelData == dataset.PixelData
    client.delete_study(uids[0])


def test_delete(client: DICOMwebClient, study: list[Dataset]) -> None:
    """STO-140: instance, series, study"""
    one, *_, last = study
    uid = one.StudyInstanceUID
    client.delete_instance(uid, one.SeriesInstanceUID, one.SOPInstanceUID)
    assert len(client.search_for_instances(uid)) == 3
    client.delete_series(uid, last.SeriesInstanceUID)
    assert len(client.search_for_series(uid)) == 1
    client.delete_study(uid)
    assert client.search_for_studies(search_filters={"StudyInstanceUID": uid}) == []
    with pytest.raises(requests.HTTPError, match="404"):
        client.retrieve_study_metadata(uid)
