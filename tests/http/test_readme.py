"""The examples of the README work as pasted."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from pydicom.data import get_testdata_file

from shared.azurite import ROOT
from tests.support.processes import LocalHost

pytestmark = [pytest.mark.integration, pytest.mark.one_store("the examples say nothing of a store")]

PREAMBLE = 128
FRAME_BYTES = 128 * 128 * 2


def examples() -> str:
    section = (ROOT / "README.md").read_text("utf-8").partition("\n## Try it\n")[2].partition("\n## ")[0]
    blocks: list[str] = re.findall(r"```bash\n(.*?)```", section, re.DOTALL)
    return "".join(blocks)


def test_the_curl_examples(start_host_on: Callable[..., LocalHost], tmp_path: Path) -> None:
    host = start_host_on({"DICOM_STORE": "embedded", "DICOM_STORE_PATH": str(tmp_path / "store")})
    script = examples().replace("http://localhost:8080", host.url).replace(".venv/bin/python", sys.executable)
    assert "curl" in script
    script = script.replace("curl -sS", 'echo; curl -sS -w "\\n[%{http_code}]"')
    done = subprocess.run(["bash", "-euc", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    statuses = re.findall(r"^\[(\d{3})\]$", done.stdout, re.MULTILINE)
    assert statuses == ["200"] * 8 + ["202", "200", "204"], done.stdout

    assert done.stdout.count('"1CT1"') >= 3
    assert '"action":"Update"' in done.stdout
    original = Path(str(get_testdata_file("CT_small.dcm"))).read_bytes()
    assert (tmp_path / "instance.dcm").read_bytes()[PREAMBLE:] == original[PREAMBLE:]
    assert (tmp_path / "frame1.raw").stat().st_size == FRAME_BYTES
    study = "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322"
    assert httpx.get(f"{host.url}/v2/studies/{study}/metadata", headers={"Accept": "*/*"}).status_code == 404
