#!/usr/bin/env python3
"""The product against Orthanc, side by side in one run.

    python -m bench.run [--store azurite|embedded] [--workers N] [--json OUT] [options of side_by_side.py]

Starts both, lets `side_by_side.py` measure them, and stops them. Ratios are to Orthanc; of times as well as of rates the
speed-up is what the last column says (above 1: faster than Orthanc).
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.peers import azurite_on_disk, orthanc, product

SIDE_BY_SIDE = Path(__file__).with_name("side_by_side.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=("azurite", "embedded"), default="azurite")
    parser.add_argument("--durable", action="store_true", help="the embedded store survives a power cut")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", metavar="OUT")
    options, rest = parser.parse_known_args()
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        settings = {"DICOM_STORE": options.store}
        if options.store == "azurite":
            settings = {"AzureWebJobsStorage": stack.enter_context(azurite_on_disk()).connection_string}
        else:
            settings |= {"DICOM_STORE_PATH": f"{directory}/store", "DICOM_STORE_DURABLE": str(options.durable).lower()}
        host = stack.enter_context(product(settings, options.workers))
        peer, peer_process = stack.enter_context(orthanc())
        result = Path(directory) / "result.json"
        command = [sys.executable, str(SIDE_BY_SIDE), f"orthanc={peer}", f"product={host.url}/v2"]
        command += ["--pids", f"orthanc={peer_process}", "--pids", f"product={host.process.pid}"]
        subprocess.run([*command, "--json", str(result), *rest], check=True)
        document = json.loads(result.read_text())["runs"][0]
        document["product"] = {"store": options.store, "workers": options.workers, "durable": options.durable}
    print("\nspeed of the product as a multiple of Orthanc's")
    for figure in document["figures"].values():
        ratio = figure["servers"].get("product", {}).get("ratio_to_first")
        if ratio:
            figure["speed_up"] = ratio if figure["better"] == "higher" else 1 / ratio
            print(f"  {figure['label']:45s} x {figure['speed_up']:.2f}")
    if options.json:
        Path(options.json).write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
