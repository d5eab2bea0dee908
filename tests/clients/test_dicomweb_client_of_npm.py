"""The dicomweb-client of npm, which OHIF uses, in Node.js: its searches, after a store of its own.

It is installed once from the lock file, and again when that changes.
"""

import base64
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dev
from shared.azurite import ROOT
from shared.data_directory import lock_file
from tests.support.made_files import made_file, new_uid
from tests.support.searches import values

pytestmark = pytest.mark.integration

HERE = Path(__file__).with_name("npm")
FILES = [HERE / "package.json", HERE / "package-lock.json"]
HOME = ROOT / ".dev" / "npm-clients"

STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"

Call = Callable[..., Any]


@pytest.fixture(scope="session")
def node() -> str:
    """A Node.js, once the clients are installed for it."""
    stamp = HOME / "installed.json"
    wanted = hashlib.sha256(b"".join(file.read_bytes() for file in FILES)).hexdigest()
    with lock_file(HOME.with_suffix(".lock"), wait=True):
        if stamp.exists():
            installed: dict[str, str] = json.loads(stamp.read_text("utf-8"))
            if installed["files"] == wanted and Path(installed["node"]).exists():
                return installed["node"]
        shutil.rmtree(HOME, ignore_errors=True)
        HOME.mkdir(parents=True)
        for file in FILES:
            shutil.copy(file, HOME)
        try:
            found, npm = dev.find_node() or dev.node_from_pypi()
            options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
            subprocess.run([*npm, "ci", *options], cwd=HOME, check=True, capture_output=True, timeout=300)
        except (dev.SetupError, subprocess.SubprocessError, OSError) as error:
            pytest.skip(f"the clients could not be had from npm: {error}")
        stamp.write_text(json.dumps({"files": wanted, "node": found}), "utf-8")
    return found


@pytest.fixture
def call(node: str, base_url: str) -> Call:
    """Calls of the client: (method, options) each; what each of them comes to."""

    def run(*calls: tuple[str, dict[str, Any]]) -> list[Any]:
        request = {"url": f"{base_url}/v2", "calls": [{"method": name, "options": options} for name, options in calls]}
        done = subprocess.run(
            [node, str(HERE / "calls.cjs")],
            cwd=HOME,
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        answers: list[dict[str, Any]] = json.loads(done.stdout)
        return [each.get("value", each) for each in answers]

    return run


@pytest.fixture
def stored(call: Call) -> tuple[str, list[str], str]:
    """A study of two series, CT with two instances and MR with one, stored by the client; its patient."""
    study, series, patient = new_uid(), [new_uid(), new_uid()], f"npm-{new_uid()[-12:]}"
    described = {
        "PatientID": patient,
        "PatientName": "Client^Node",
        "StudyDate": "20240102",
        "StudyDescription": "Head / Neck 100%",
    }
    files = [
        made_file(study, uid, new_uid(), Modality=modality, SeriesDescription="a b", InstanceNumber="1", **described)
        for uid, modality in ((series[0], "CT"), (series[0], "CT"), (series[1], "MR"))
    ]
    datasets = [base64.b64encode(file).decode() for file in files]
    [answer] = call(("storeInstances", {"datasets": datasets}))
    assert "status" not in answer, answer
    return study, series, patient


def test_searches_of_studies(call: Call, stored: tuple[str, list[str], str]) -> None:
    """QRY-01, QRY-19, QRY-34 to QRY-42, QRY-54, QRY-58: what OHIF asks for its list among them"""
    study, _, patient = stored
    of_ohif = "00081030,00080060,00080090,00100030"
    of_list = {"limit": 101, "offset": 0, "fuzzymatching": True, "includefield": of_ohif, "PatientName": "cli"}
    queries: list[dict[str, Any]] = [
        {**of_list, "PatientID": patient},
        {"00100020": patient.upper()},
        {"PatientID": f"{patient[:-2]}*"},
        {"StudyDescription": "Head / Neck 100%"},
        {"StudyDate": "20240101-20240102", "ModalitiesInStudy": "MR,US"},
        {"StudyInstanceUID": f"1.2.3,{study}"},
        {"StudyInstanceUID": f"1.2.3\\{study}", "includefield": "ModalitiesInStudy,NumberOfStudyRelatedInstances"},
    ]
    answers = call(*(("searchForStudies", {"queryParams": query}) for query in queries))
    for query, items in zip(queries, answers, strict=True):
        assert study in values(items, STUDY), query
    [item] = answers[0]
    assert item["00081030"]["Value"] == ["Head / Neck 100%"]
    assert item["00080060"]["Value"] == ["MR"]
    [item] = answers[-1]
    assert (item["00080061"]["Value"], item["00201208"]["Value"]) == (["CT", "MR"], [3])


def test_searches_below(call: Call, stored: tuple[str, list[str], str]) -> None:
    """QRY-01, QRY-50 to QRY-54"""
    study, series, patient = stored
    of_study, every, by_modality, of_series, of_patient = call(
        (
            "searchForSeries",
            {"studyInstanceUID": study, "queryParams": {"includefield": "00080021,00080031,0008103E,00200011"}},
        ),
        ("searchForSeries", {"queryParams": {"SeriesInstanceUID": ",".join(series)}}),
        ("searchForSeries", {"studyInstanceUID": study, "queryParams": {"Modality": "CT"}}),
        ("searchForInstances", {"studyInstanceUID": study, "seriesInstanceUID": series[0]}),
        ("searchForInstances", {"queryParams": {"PatientID": patient, "includefield": "InstanceNumber", "limit": 2}}),
    )
    assert values(of_study, SERIES) == values(every, SERIES) == series[::-1]
    assert values(of_study, "0008103E") == ["a b", "a b"]
    assert values(by_modality, SERIES) == series[:1]
    assert len(set(values(of_series, INSTANCE))) == 2
    assert values(of_patient, "00200013") == [1, 1]


def test_nothing_found_and_refusals(call: Call, stored: tuple[str, list[str], str]) -> None:
    """QRY-05, QRY-06: a 204 is an empty list to the client, a 400 an error"""
    nothing, refused = call(
        ("searchForStudies", {"queryParams": {"PatientID": "nobody has this"}}),
        ("searchForStudies", {"queryParams": {"limit": 0}}),
    )
    assert nothing == []
    assert refused["status"] == 400
