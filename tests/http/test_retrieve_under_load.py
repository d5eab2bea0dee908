"""Large answers in little memory, and small requests that do not wait for heavy ones."""

import contextlib
import io
import statistics
import threading
import time
from collections.abc import Callable

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from tests.conftest import StartHost
from tests.support.made_files import STORE_HEADERS, made_file, new_uid, store_body
from tests.support.made_images import encoded, made_image
from tests.support.processes import LocalHost
from tests.support.retrieving import ELE, J2KL, PARTS
from tests.support.stow import store

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

MOST_GROWTH = 80_000_000
"""Bytes by which a worker may grow while it streams, whatever the number of instances."""

MOST_SLOWDOWN = 15
"""A health request may take so many times as long while pixels are worked on. The machine has few cores, and the work
takes them all; a decoder that held the interpreter's lock would make it hundreds."""


def resident(host: LocalHost) -> int:
    """Bytes of the largest process of the host."""
    process = psutil.Process(host.process.pid)
    return max(int(each.memory_info().rss) for each in [process, *process.children(recursive=True)])


def test_many_instances(start_host: StartHost, size: Callable[[str], int]) -> None:
    """RET-27, RET-61: a study of very many instances, and its metadata, in constant memory and at once"""
    count = size("instances of one streamed study")
    host = start_host()
    study, series = new_uid(), new_uid()
    template = made_file(study, series, "1.2.3.100000000", PatientComments="c" * 2000)
    files = [
        template.replace(b"1.2.3.100000000", b"1.2.3.%09d" % number)
        for number in range(100_000_001, 100_000_001 + count)
    ]
    with httpx.Client(base_url=f"{host.url}/v2", timeout=600) as client:
        for first in range(0, count, 500):
            answer = client.post("/studies", content=store_body(files[first : first + 500]), headers=STORE_HEADERS)
            assert answer.status_code == 200, answer.text[:300]
        client.get(f"/studies/{study}/series/{series}/instances/1.2.3.100000001/metadata")
        before = resident(host)
        received = {}
        for path, accept in (
            (f"/studies/{study}", f"{PARTS}; transfer-syntax=*"),
            (f"/studies/{study}/metadata", "*/*"),
        ):
            most, content = before, 0
            with client.stream("GET", path, headers={"Accept": accept, "Accept-Encoding": "identity"}) as answer:
                assert answer.status_code == 200
                for chunk in answer.iter_raw():
                    content += len(chunk)
                    most = max(most, resident(host))
            assert most - before < MOST_GROWTH, f"{(most - before) / 1e6:.0f} MB"
            received[path] = content
    assert received[f"/studies/{study}"] > count * len(template)
    assert received[f"/studies/{study}/metadata"] > count * 2000


def latencies(host: LocalHost, until: Callable[[], bool]) -> list[float]:
    """How long health requests take, one after another."""
    times: list[float] = []
    with httpx.Client(base_url=host.url, timeout=60) as client:
        client.get("/health")
        while not until() or len(times) < 20:
            began = time.perf_counter()
            assert client.get("/health").status_code == 200
            times.append(time.perf_counter() - began)
            time.sleep(0.005)
    return times


@pytest.mark.parametrize("work", ["file to JPEG 2000", "frames to JPEG 2000", "file from JPEG 2000", "large picture"])
def test_health_meanwhile(server: LocalHost, work: str) -> None:
    """RET-49, RET-99, PLT-20: decoding, encoding and rendering do not hold up other requests"""
    random = np.random.default_rng(1)
    shape = (1, 6000, 5000) if work == "large picture" else (8, 1500, 1500)
    dataset = made_image((random.integers(0, 60, shape) + np.arange(shape[-1]) // 8).astype("<u2"))
    path = (
        f"/v2/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}/instances/{dataset.SOPInstanceUID}"
    )
    assert store(server.url, encoded(dataset)).status == 200
    in_jpeg_2000 = {"Accept": f"application/dicom; transfer-syntax={J2KL}"}
    with httpx.Client(base_url=server.url, timeout=300) as client:
        if work == "file from JPEG 2000":
            compressed = client.get(path, headers=in_jpeg_2000).content
            assert client.put(
                "/v2/studies", content=compressed, headers={"Content-Type": "application/dicom"}
            ).is_success
        requests = {
            "file to JPEG 2000": (path, in_jpeg_2000["Accept"]),
            "frames to JPEG 2000": (f"{path}/frames/1,2,3,4,5,6,7,8", 'multipart/related; type="image/jp2"'),
            "file from JPEG 2000": (path, f"application/dicom; transfer-syntax={ELE}"),
            "large picture": (f"{path}/rendered", "image/png"),
        }
        url, accept = requests[work]
        idle = latencies(server, lambda: True)
        answers: list[httpx.Response] = []
        worker = threading.Thread(target=lambda: answers.append(client.get(url, headers={"Accept": accept})))
        worker.start()
        meanwhile = latencies(server, lambda: not worker.is_alive())
        worker.join()
    assert [answer.status_code for answer in answers] == [200]
    slowdown = statistics.median(meanwhile) / statistics.median(idle)
    assert slowdown < MOST_SLOWDOWN, f"{len(meanwhile)} requests, {slowdown:.1f} times as slow"
    httpx.delete(f"{server.url}{path}")


def worker_bytes(host: LocalHost) -> int:
    """As `resident`, without the codec processes."""
    process = psutil.Process(host.process.pid)
    sizes = []
    for each in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            if "codec_process" not in " ".join(each.cmdline()):
                sizes.append(int(each.memory_info().rss))
    return max(sizes)


def test_huge_picture_of_a_small_file(server: LocalHost) -> None:
    """RET-84, RET-85: a JPEG that is a hundred times as large when decoded is shown, and not in the service's memory"""
    side = 9_400
    jpeg = io.BytesIO()
    Image.new("L", (side, side), 100).save(jpeg, "JPEG")
    dataset = made_image(np.zeros((1, 1), "u1"), Rows=side, Columns=side)
    dataset.PixelData = encapsulate([jpeg.getvalue()])
    dataset["PixelData"].is_undefined_length = True
    assert store(server.url, encoded(dataset, JPEGBaseline8Bit)).status == 200
    url = (
        f"{server.url}/v2/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
        f"/instances/{dataset.SOPInstanceUID}/rendered"
    )
    answers: list[httpx.Response] = []
    asking = threading.Thread(
        target=lambda: answers.append(httpx.get(url, headers={"Accept": "image/png"}, timeout=300))
    )
    before = most = worker_bytes(server)
    asking.start()
    while asking.is_alive():
        most = max(most, worker_bytes(server))
        time.sleep(0.01)
    assert answers[0].status_code == 200, answers[0].text
    with Image.open(io.BytesIO(answers[0].content)) as image:
        assert image.size == (side, side)
    assert most - before < MOST_GROWTH, f"{(most - before) / 1e6:.0f} MB"
