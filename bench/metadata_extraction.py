"""CPU milliseconds for reading and judging one CT header of 251 elements.

python -m bench.metadata_extraction [--rounds N]
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from io import BytesIO

import pydicom

from shared.dicom.elements import read_elements
from shared.dicom.file_meta import open_file
from shared.dicom.instance import parse_instance
from shared.dicom.validate import validate
from tests.unit.dicom.ct_header import ct_file


def milliseconds(call: Callable[[], object], rounds: int) -> float:
    """Median of the CPU time of one call."""
    times = []
    for _ in range(rounds):
        begin = time.process_time_ns()
        call()
        times.append(time.process_time_ns() - begin)
    return statistics.median(times) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    rounds = parser.parse_args().rounds
    print(f"Python {platform.python_version()}, pydicom {pydicom.__version__}, median of {rounds}")
    for implicit in (False, True):
        content = ct_file(implicit=implicit)
        encoded = open_file(content)
        data_set = read_elements(encoded)
        ways: dict[str, Callable[[], object]] = {
            "dcmread + to_json_dict": lambda c=content: pydicom.dcmread(BytesIO(c), stop_before_pixels=True).to_json_dict(),
            "walk": lambda e=encoded: read_elements(e),
            "validation": lambda d=data_set: validate(d, None),
            "everything (parse_instance)": lambda c=content: parse_instance(c, study=None),
        }  # fmt: skip
        print("implicit VR" if implicit else "explicit VR")
        for name, call in ways.items():
            print(f"  {name:28s} {milliseconds(call, rounds if 'dcmread' not in name else rounds // 10):7.3f} ms")


if __name__ == "__main__":
    main()
