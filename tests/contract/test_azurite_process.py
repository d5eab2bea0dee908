"""What is changed about Azurite before it starts; both reach into the pinned version of it."""

import subprocess
from pathlib import Path

import pytest

from shared.azurite import _installed

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(("in_memory", "minutes"), [(False, 10), (True, 60)])
def test_azurite_in_memory_collects_once_an_hour(tmp_path: Path, in_memory: bool, minutes: int) -> None:
    """With thousands of blobs in memory it answers nothing meanwhile. On the disk they share a few files."""
    node, *options, script = _installed(in_memory=in_memory)
    constants = Path(script).parent / "blob" / "utils" / "constants.js"
    manager = Path(script).parent / "blob" / "gc" / "BlobGCManager.js"
    assert "gcIntervalInMS = constants_1.DEFAULT_GC_INTERVAL_MS" in manager.read_text("utf-8")
    tell = tmp_path / "tell.cjs"
    tell.write_text(f"console.log(require({str(constants)!r}).DEFAULT_GC_INTERVAL_MS);\n", "utf-8")
    done = subprocess.run(
        [node, *options, "--require", str(tell), script, "--version"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split()[0] == str(minutes * 60 * 1000), done.stderr
