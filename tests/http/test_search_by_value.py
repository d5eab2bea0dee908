"""The app with value rows, as on a real account: what is looked up is what is searched for without them."""

import httpx
import pytest

from tests.conftest import StartHost
from tests.http import test_search_filters as filters
from tests.support.azurites import NewAccount
from tests.support.made_files import STORE_HEADERS, made_file, store_body

pytestmark = [pytest.mark.integration, pytest.mark.one_store("the embedded store has indexes of its own")]


def test_qry_13_searches_of_a_host_with_value_rows(start_host_on: StartHost, new_azure_account: NewAccount) -> None:
    """QRY-01, QRY-13, QRY-19, QRY-30 to QRY-42: searches of `test_search_filters`; changes and deletions after them.

    An emptied store is complete from its first row on.
    """
    host = start_host_on({"AzureWebJobsStorage": new_azure_account(), "DICOM_VALUE_ROWS": "on"})
    with httpx.Client(base_url=host.url, timeout=60) as client:
        client.post("/_emulator/reset").raise_for_status()
        archive = filters.filled_archive(host.url)
        filters.test_qry_19_filters_of_all_levels_together(archive)
        filters.test_qry_30_letter_case_and_padding(archive)
        filters.test_qry_34_ranges(archive)
        filters.test_qry_36_modalities_in_study(archive)
        filters.test_qry_42_uid_lists(archive)
        filters.test_search_values_of_any_length_and_kind(archive)
        for key, value, found in (
            ("PatientName", "d*", "A"),
            ("StudyDescription", "Tê*", "B"),
            ("PatientName", "*", "A B C"),
        ):
            assert archive.mine(key, value) == found
        a, b = archive.studies["A"], archive.studies["B"]
        changed = made_file(a, archive.series["A2"], archive.instances["A21"], PatientName="Roe^John", Modality="XA")
        client.put("/v2/studies", content=store_body([changed]), headers=STORE_HEADERS).raise_for_status()
        assert archive.found("/studies", ("PatientName", "doe*")) == ""
        assert archive.found("/studies", ("PatientName", "roe^john")) == "A"
        assert archive.found("/studies", ("ModalitiesInStudy", "XA")) == "A"
        client.delete(f"/v2/studies/{b}").raise_for_status()
        assert archive.found("/studies", ("PatientBirthDate", "19991231")) == ""
