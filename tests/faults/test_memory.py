"""Memory stays bounded whatever is stored, and nothing is left behind per request."""

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from shared.azurite import Azurite
from tests.conftest import StartHost
from tests.support.big_files import BigFile, body_of
from tests.support.made_files import STORE_HEADERS, made_file, new_uid, store_body
from tests.support.processes import LocalHost

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

MOST_RESIDENT = 300_000_000
"""Bytes of resident memory that a worker may take."""

ALL = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
ORIGINAL = {"Accept": "application/dicom; transfer-syntax=*"}


class Watch:
    """The largest resident memory of any process of the host while it is entered."""

    def __init__(self, host: LocalHost) -> None:
        self._host = psutil.Process(host.process.pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.most = 0

    def now(self) -> int:
        """Bytes of the largest process. Pages of files that are mapped are the kernel's, not the process's."""
        sizes = []
        for process in [self._host, *self._host.children(recursive=True)]:
            try:
                memory = process.memory_info()
            except psutil.NoSuchProcess:
                continue
            sizes.append(int(memory.rss - memory.shared))
        return max(sizes)

    def _look(self) -> None:
        while not self._over.wait(0.02):
            self.most = max(self.most, self.now())

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture
def host(
    store_settings: dict[str, str],
    start_host_on: StartHost,
    own_azurite: Callable[[Path | None], Azurite],
    tmp_path: Path,
) -> LocalHost:
    """A host whose store lies on disk."""
    if "DICOM_STORE" in store_settings:
        return start_host_on({**store_settings, "DICOM_STORE_PATH": str(tmp_path / "store")})
    return start_host_on({"AzureWebJobsStorage": own_azurite(tmp_path / "data").connection_string})


@pytest.mark.parametrize("case", ["few large files", "many small files"])
def test_large_study(case: str, host: LocalHost, size: Callable[[str], int]) -> None:
    """STO-105, RET-27, PLT-74: a large study is stored, retrieved whole and updated in bounded memory."""
    count, each = {
        "few large files": (4, size("bytes of each large file of a study")),
        "many small files": (size("files of 512 KB in one study"), 512 * 1024),
    }[case]
    study, series = new_uid(), new_uid()
    keys = [(study, series, new_uid()) for _ in range(count)]
    files = [BigFile(key, each) for key in keys]
    with Watch(host) as watch, httpx.Client(base_url=host.url + "/v2", timeout=600) as client:
        for first in range(0, count, 500):
            part = files[first : first + 500]
            response = client.post("/studies", content=body_of(part), headers=STORE_HEADERS)
            assert response.status_code == 200, response.text[:500]
        with client.stream("GET", f"/studies/{study}", headers=ALL) as answer:
            assert answer.status_code == 200
            received = sum(len(chunk) for chunk in answer.iter_raw())
        assert received > sum(file.size for file in files)
        digest = hashlib.sha256()
        path = f"/studies/{study}/series/{series}/instances/{keys[-1][2]}"
        with client.stream("GET", path, headers=ORIGINAL) as answer:
            for chunk in answer.iter_raw():
                digest.update(chunk)
        update(client, study, count)
        with client.stream("GET", path, headers=ORIGINAL) as answer:
            rest = files[-1].pixel_digest(answer.iter_raw())
    assert rest == files[-1].pixel_digest(files[-1].pieces())
    assert digest.hexdigest() == files[-1].digest()
    assert watch.most < MOST_RESIDENT, f"{watch.most / 1e6:.0f} MB"


def update(client: httpx.Client, study: str, count: int) -> None:
    """Gives all instances of the study another name, of another character set."""
    change = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "王^小"}]}}
    answer = client.post("/studies/$bulkUpdate", json={"studyInstanceUids": [study], "changeDataset": change})
    path = f"/operations/{answer.json()['id']}"
    while (found := client.get(path)).status_code == 202:
        time.sleep(0.1)
    assert found.json()["results"]["instanceUpdated"] == count, found.text


def test_no_growth(host: LocalHost, size: Callable[[str], int]) -> None:
    """Requests of every kind leave nothing behind: the second half takes no more memory than the first."""
    study, series = new_uid(), new_uid()
    uids = [new_uid() for _ in range(10)]
    headers = {"Accept": "application/dicom+json"}
    paths = [
        f"/studies/{study}/metadata",
        f"/studies?StudyInstanceUID={study}",
        f"/studies/{study}/series/{series}/instances/{uids[0]}/metadata",
        "/changefeed?limit=5",
        "/studies/1.2.3.404/metadata",
        "/nothing",
    ]
    rounds = size("requests that leave no growth") // (len(paths) + 1)
    with httpx.Client(base_url=host.url + "/v2", timeout=60) as client:
        client.post(
            "/studies", content=store_body([made_file(study, series, uid) for uid in uids]), headers=STORE_HEADERS
        )

        def half() -> int:
            for number in range(rounds // 2):
                for path in paths:
                    client.get(path, headers=headers)
                file = made_file(study, series, uids[number % len(uids)])
                assert client.put("/studies", content=store_body([file]), headers=STORE_HEADERS).status_code == 200
            time.sleep(0.5)
            return Watch(host).now()

        half()  # warms up: caches fill to their bounds
        first = half()
        second = half()
    assert second - first < 3_000_000 + 500 * rounds, f"{first / 1e6:.1f} MB, then {second / 1e6:.1f} MB"
