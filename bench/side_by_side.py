#!/usr/bin/env python3
"""Black-box DICOMweb benchmark: several servers, one run, the same bytes, interleaved rounds.

    python side_by_side.py orthanc=http://127.0.0.1:8091/dicom-web emulator=http://127.0.0.1:8080/v2 --json out.json

Each server is NAME=BASEURL, BASEURL being the DICOMweb root; the first one is the reference of the
ratio columns (value of the server / value of the first). Needs aiohttp, pydicom, numpy, pillow.

How it measures
  * Every figure is taken in rounds; within a round the servers take turns (the order rotates), so
    that whatever the machine is doing hits each alike. One unmeasured warm-up round comes first.
    A sample is the median of a few requests (ms) or one throughput; the table shows the median
    over the rounds and their range. Only the HTTP exchange is timed: making the data, assembling
    the multipart bodies and checking the answers happen outside the clock (the STOW rates include
    reading the short answer).
  * Each answer is checked (status, number of parts / results, UIDs, pixel bytes, JPEG size). One
    wrong or failed answer disqualifies (DQ) that figure of that server: its time stays in the
    JSON, in the table it is in parentheses, without a ratio.
  * The pixel data is random over 16 bits, so nothing compresses away. It never ends in CR or LF
    except in the `check` group, which tests whether such an instance comes back whole.
  * The stores are deleted again after each round, so the QIDO figures see the prefilled studies
    only. Start with empty servers; on others the result sets are checked as supersets, the
    unfiltered query only by its count.

Groups for --only: cold, check, stow, wado, meta, frame, rendered, delete, qido, growth, mem
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import glob
import io
import itertools
import json
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import time
import urllib.parse
import warnings

import aiohttp
import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

warnings.filterwarnings("ignore")

CT = "1.2.840.10008.5.1.4.1.1.2"
MULTIFRAME_WORD_SC = "1.2.840.10008.5.1.4.1.1.7.3"
ROWS = COLS = 512  # 512 x 512 x 16 bit = 512 KB
FRAMES = 50
JSON_TYPE = "application/dicom+json"

# Tried in this order; the first one that every server answers correctly is used for all of them,
# failing that each server gets its own first one.
ACCEPTS = {
    "instance": [
        'multipart/related; type="application/dicom"; transfer-syntax=*',
        'multipart/related; type="application/dicom"',
        "application/dicom; transfer-syntax=*",
        "application/dicom",
        "*/*",
    ],
    "series": [
        'multipart/related; type="application/dicom"; transfer-syntax=*',
        'multipart/related; type="application/dicom"',
        "*/*",
    ],
    "frame": [
        'multipart/related; type="application/octet-stream"; transfer-syntax=*',
        'multipart/related; type="application/octet-stream"',
        "application/octet-stream; transfer-syntax=*",
        "application/octet-stream",
        "*/*",
    ],
    "rendered": ["image/jpeg", "image/jpeg, */*"],
    "json": [JSON_TYPE, "application/json", "*/*"],
}


class Bad(Exception):
    """A wrong answer."""


# --------------------------------------------------------------------------- data


class Maker:
    """Makes DICOM files; UIDs are unique per run, content is a function of the seed."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.rand = random.Random(seed)
        self.run = time.time_ns() // 1_000_000
        self.count = itertools.count(1)

    def uid(self) -> str:
        return f"2.25.{self.run}{next(self.count):09d}"

    def pixels(self, frames: int = 1, tail: bytes | None = None) -> bytes:
        raw = bytearray(self.rng.bytes(ROWS * COLS * 2 * frames))
        raw[-2:] = tail if tail is not None else b"\x5a\xa5"
        return bytes(raw)

    def instance(
        self,
        study,
        series,
        number,
        *,
        pixels=None,
        frames=1,
        patient="BENCH",
        name="Bench^Mark",
        date="20260115",
        series_number=1,
    ) -> tuple[str, bytes]:
        """Returns (SOP instance UID, file)."""
        uid = self.uid()
        sop_class = CT if frames == 1 else MULTIFRAME_WORD_SC
        ds = Dataset()
        ds.SpecificCharacterSet = "ISO_IR 100"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.SOPClassUID, ds.SOPInstanceUID = sop_class, uid
        ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = date
        ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "101530"
        ds.AccessionNumber = "A" + study[-9:]
        ds.Modality = "CT" if frames == 1 else "OT"
        ds.Manufacturer, ds.ManufacturerModelName = "Bench", "Model 1"
        ds.InstitutionName, ds.StationName = "Bench Hospital", "CT01"
        ds.ReferringPhysicianName = "Referrer^Rita"
        ds.StudyDescription, ds.SeriesDescription = "CT thorax", f"Series {series_number}"
        ref = Dataset()
        ref.ReferencedSOPClassUID, ref.ReferencedSOPInstanceUID = CT, "2.25.1"
        ds.ReferencedImageSequence = Sequence([ref])
        ds.PatientName, ds.PatientID = name, patient
        ds.PatientBirthDate, ds.PatientSex, ds.PatientAge = "19700101", "O", "056Y"
        ds.BodyPartExamined, ds.SliceThickness, ds.KVP = "CHEST", "1.25", "120"
        ds.ProtocolName, ds.PatientPosition = "Thorax routine", "HFS"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
        ds.StudyID, ds.SeriesNumber, ds.InstanceNumber = "1", series_number, number
        ds.FrameOfReferenceUID = "2.25.2"
        if pixels is not None:
            if frames == 1:
                ds.ImagePositionPatient = ["-250", "-250", f"{number}"]
                ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
                ds.PixelSpacing = ["0.97", "0.97"]
            else:
                ds.NumberOfFrames = frames
                ds.ConversionType = "WSD"
            ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
            ds.Rows, ds.Columns = ROWS, COLS
            ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
            ds.WindowCenter, ds.WindowWidth = "32768", "65535"
            ds.RescaleIntercept, ds.RescaleSlope = "0", "1"
            ds.PixelData = pixels
            ds["PixelData"].VR = "OW"
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, uid
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta = meta
        out = io.BytesIO()
        ds.save_as(out, enforce_file_format=True)
        return uid, out.getvalue()


def multipart(files) -> tuple[str, bytes]:
    boundary = "bench0b0undary0bench"
    chunks = []
    for data in files:
        chunks += [b"--", boundary.encode(), b"\r\nContent-Type: application/dicom\r\n\r\n", data, b"\r\n"]
    chunks += [b"--", boundary.encode(), b"--\r\n"]
    return f'multipart/related; type="application/dicom"; boundary={boundary}', b"".join(chunks)


def split_multipart(ctype: str, body: bytes) -> list[bytes]:
    if not ctype.lower().startswith("multipart/"):
        return [body]
    found = re.search(r'boundary="?([^";,]+)"?', ctype, re.I)
    if not found:
        raise Bad("multipart answer without boundary")
    mark = b"--" + found.group(1).strip().encode()
    parts, pos = [], body.find(mark)
    while pos >= 0:
        start = pos + len(mark)
        if body[start : start + 2] == b"--":
            return parts
        end = body.find(mark, start)
        if end < 0:
            break
        head = body.find(b"\r\n\r\n", start, end)
        parts.append(body[head + 4 : end - 2])
        pos = end
    raise Bad("multipart answer is not closed")


META_UID = re.compile(rb"\x02\x00\x03\x00UI..([0-9.]+)", re.S)


def part_uid(part: bytes) -> str:
    found = META_UID.search(part[:2000])
    if not found:
        raise Bad("part is not a DICOM file")
    return found.group(1).decode()


# --------------------------------------------------------------------------- servers and figures


class Server:
    def __init__(self, name, base, headers):
        self.name, self.base, self.headers = name, base.rstrip("/"), headers
        self.session: aiohttp.ClientSession | None = None
        self.accept: dict[str, str] = {}
        self.forms: dict[str, str] = {}
        self.software = ""
        self.was_empty = True
        self.series = None  # the 100-instance series
        self.prefilled: list[int] = []
        self.prefill_seconds = 0.0
        self.notes: list[str] = []

    async def open(self):
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=4)
        self.session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=180),
            headers={"Accept-Encoding": "identity", **self.headers},
        )

    async def call(self, method, path, *, accept=None, data=None, ctype=None):
        """One exchange: (seconds, status, content type, body)."""
        headers = {}
        if accept:
            headers["Accept"] = accept
        if ctype:
            headers["Content-Type"] = ctype
        begin = time.perf_counter()
        url = path if path.startswith("http") else self.base + path
        async with self.session.request(method, url, data=data, headers=headers) as resp:
            body = await resp.read()
            took = time.perf_counter() - begin
            self.software = self.software or resp.headers.get("Server", "")
            return took, resp.status, resp.headers.get("Content-Type", ""), body

    async def store(self, payload, count) -> float:
        ctype, body = payload
        took, status, _, answer = await self.call("POST", "/studies", accept=JSON_TYPE, data=body, ctype=ctype)
        if status not in (200, 202):
            raise Bad(f"STOW answered {status}: {answer[:120]!r}")
        doc = json.loads(answer)
        doc = doc[0] if isinstance(doc, list) else doc
        stored = len(doc.get("00081199", {}).get("Value", []))
        failed = len(doc.get("00081198", {}).get("Value", []))
        if stored != count or failed:
            raise Bad(f"STOW of {count} stored {stored}, failed {failed}")
        return took

    async def remove(self, study) -> float:
        took, status, _, answer = await self.call("DELETE", f"/studies/{study}")
        if status == 405:  # older Orthanc: no DELETE in its DICOMweb plugin, only in its own API
            root = self.base.rsplit("/", 1)[0]
            _, _, _, answer = await self.call("POST", root + "/tools/lookup", data=study.encode())
            found = [item["ID"] for item in json.loads(answer) if item["Type"] == "Study"]
            if not found:
                raise Bad("DELETE answered 405, and the study is not found by the native API")
            took, status, _, answer = await self.call("DELETE", f"{root}/studies/{found[0]}")
            note = "no DELETE in its DICOMweb: the native API is used (its look-up of the UID is not timed)"
            if note not in self.notes:
                self.notes.append(note)
        if status not in (200, 202, 204):
            raise Bad(f"DELETE answered {status}: {answer[:120]!r}")
        return took

    async def query(self, path) -> tuple[float, list]:
        took, status, _, body = await self.call("GET", path, accept=self.accept.get("json", JSON_TYPE))
        if status == 204:
            return took, []
        if status != 200:
            raise Bad(f"QIDO answered {status}: {body[:120]!r}")
        return took, json.loads(body)


class Figure:
    def __init__(self, key, label, unit, better):
        self.key, self.label, self.unit, self.better = key, label, unit, better
        self.samples: dict[str, list[float]] = {}
        self.errors: dict[str, list[str]] = {}
        self.error_count: dict[str, int] = {}

    def add(self, server, value):
        self.samples.setdefault(server.name, []).append(value)

    def fail(self, server, why):
        self.error_count[server.name] = self.error_count.get(server.name, 0) + 1
        known = self.errors.setdefault(server.name, [])
        why = str(why) or type(why).__name__
        if len(known) < 3 and why not in known:
            known.append(why)

    def median(self, name):
        values = self.samples.get(name)
        return statistics.median(values) if values else None


FAILURES = (
    Bad,
    aiohttp.ClientError,
    asyncio.TimeoutError,
    OSError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
)


class Bench:
    def __init__(self, args, servers):
        self.args, self.servers = args, servers
        self.make = Maker(args.seed)
        self.figures: dict[str, Figure] = {}
        self.rounds = 2 if args.quick else args.rounds
        self.few = (lambda n: max(2, n // 3)) if args.quick else (lambda n: n)
        self.plan: list[dict] = []  # prefilled studies, in order
        self.info: dict[str, dict] = {}

    def fig(self, key, label, unit, better="lower") -> Figure:
        return self.figures.setdefault(key, Figure(key, label, unit, better))

    def turn(self, rnd):
        at = rnd % len(self.servers)
        return self.servers[at:] + self.servers[:at]

    async def rounds_of(self, figs, prepare, sample):
        """The interleaving: for each round the same data to each server in turn."""
        for rnd in range(-1, self.rounds):
            data = prepare(rnd) if prepare else None
            for server in self.turn(rnd):
                try:
                    values = await sample(server, data, rnd)
                except FAILURES as exc:
                    for figure in figs:
                        figure.fail(server, f"{type(exc).__name__}: {exc}")
                    continue
                if rnd >= 0:
                    for figure, value in zip(figs, values):
                        if value is not None:
                            figure.add(server, value)

    async def many(self, figure, server, calls) -> float | None:
        """Median ms over calls, each a coroutine function giving (seconds, check())."""
        times = []
        for call in calls:
            try:
                took, check = await call()
                times.append(took)
                check()
            except FAILURES as exc:
                figure.fail(server, f"{type(exc).__name__}: {exc}")
        return statistics.median(times) * 1000 if times else None

    # ----- fixtures

    async def agree(self, kind, path_of, check):
        """Chooses the Accept type of a kind of request."""
        good = {s.name: [] for s in self.servers}
        for server in self.servers:
            for accept in ACCEPTS[kind]:
                try:
                    _, status, ctype, body = await server.call("GET", path_of(server), accept=accept)
                    if status != 200:
                        raise Bad(f"status {status}")
                    check(server, ctype, body)
                    good[server.name].append(accept)
                except FAILURES:
                    pass
        common = [a for a in ACCEPTS[kind] if all(a in good[s.name] for s in self.servers)]
        for server in self.servers:
            mine = good[server.name]
            server.accept[kind] = common[0] if common else mine[0] if mine else ACCEPTS[kind][0]

    async def series_fixture(self):
        """A series of 100 instances on each server."""
        if self.servers[0].series:
            return
        count = 20 if self.args.quick else 100
        study, series = self.make.uid(), self.make.uid()
        files = [self.make.instance(study, series, i + 1, pixels=self.make.pixels()) for i in range(count)]
        for server in self.servers:
            server.series = (study, series, dict(files))
            for at in range(0, count, 50):
                batch = [data for _, data in files[at : at + 50]]
                try:
                    await server.store(multipart(batch), len(batch))
                except FAILURES as exc:
                    server.notes.append(f"series fixture: {exc}")

        def one(server, ctype, body):
            uid, data = next(iter(server.series[2].items()))
            self.check_parts(server, ctype, body, [uid])

        st, se, inst = self.servers[0].series
        await self.agree("instance", lambda s: f"/studies/{st}/series/{se}/instances/{next(iter(inst))}", one)
        await self.agree(
            "series", lambda s: f"/studies/{st}/series/{se}", lambda s, c, b: self.check_parts(s, c, b, list(inst))
        )
        await self.agree(
            "json", lambda s: f"/studies/{st}/series/{se}/metadata", lambda s, c, b: self.check_metadata(s, b)
        )

    @staticmethod
    def check_parts(server, ctype, body, uids):
        parts = split_multipart(ctype, body)
        if len(parts) != len(uids):
            raise Bad(f"{len(parts)} parts instead of {len(uids)}")
        wanted = {uid: server.series[2][uid] for uid in uids}
        for part in parts:
            data = wanted.pop(part_uid(part), None)
            if data is None:
                raise Bad("a part with an unexpected SOP instance UID")
            size = ROWS * COLS * 2
            if len(part) < size or part[-size:] != data[-size:]:
                raise Bad("pixel data differs from what was stored")

    @staticmethod
    def check_metadata(server, body):
        items = json.loads(body)
        got = {item["00080018"]["Value"][0] for item in items}
        if got != set(server.series[2]) or len(items) != len(got):
            raise Bad(f"metadata of {len(items)} instances instead of {len(server.series[2])}")
        if any("00100020" not in item or "00200013" not in item for item in items):
            raise Bad("metadata lacks PatientID or InstanceNumber")

    # ----- groups

    async def check(self):
        """Fidelity probes; no times."""
        pixels = self.make.pixels(tail=b"\r\n")
        study, series = self.make.uid(), self.make.uid()
        uid, data = self.make.instance(study, series, 1, pixels=pixels)
        path = f"/studies/{study}/series/{series}/instances/{uid}"
        whole = self.fig("check_crlf", "check: pixel data ending in CR LF comes back whole", "pass", "higher")
        values = self.fig("check_json", "check: metadata has multi-values as arrays, DS as numbers", "pass", "higher")
        for server in self.servers:
            try:
                await server.store(multipart([data]), 1)
            except FAILURES as exc:
                whole.fail(server, exc)
                values.fail(server, exc)
                continue
            try:
                for accept in ACCEPTS["instance"]:
                    _, status, ctype, body = await server.call("GET", path, accept=accept)
                    if status == 200:
                        break
                part = split_multipart(ctype, body)[0]
                if not part.endswith(pixels):
                    raise Bad(
                        f"last bytes sent {data[-4:].hex()}, returned {part[-4:].hex()}"
                        f" ({len(data)} and {len(part)} bytes)"
                    )
                whole.add(server, 1)
            except FAILURES as exc:
                whole.fail(server, exc)
            try:
                _, status, _, body = await server.call("GET", path + "/metadata", accept=JSON_TYPE)
                item = json.loads(body)[0]
                kind, spacing = item["00080008"].get("Value"), item["00280030"].get("Value")
                if kind != ["ORIGINAL", "PRIMARY", "AXIAL"]:
                    raise Bad(f"ImageType is {kind}")
                if spacing != [0.97, 0.97]:
                    raise Bad(f"PixelSpacing is {spacing}")
                values.add(server, 1)
            except FAILURES as exc:
                values.fail(server, exc)
            await self.tidy(server, [study])

    async def tidy(self, server, studies):
        for study in studies:
            try:
                await server.remove(study)
            except FAILURES as exc:
                if len(server.notes) < 20:
                    server.notes.append(f"clean-up: {exc}")

    async def stow(self):
        clients = self.args.concurrency
        one = self.fig("stow_1", "STOW one 512 KB CT per request, sequential", "inst/s", "higher")
        eight = self.fig(f"stow_1x{clients}", f"STOW one 512 KB CT per request, {clients} clients", "inst/s", "higher")
        fifty = self.fig("stow_50", "STOW 50 x 512 KB in one request", "inst/s", "higher")
        per = self.few(3)

        def study_of(count):
            study, series = self.make.uid(), self.make.uid()
            files = [self.make.instance(study, series, i + 1, pixels=self.make.pixels()) for i in range(count)]
            return study, series, files

        def prepare(rnd):
            single = study_of(self.few(10))
            many = [study_of(per) for _ in range(clients)]
            batch = study_of(50)
            return (
                single,
                many,
                batch,
                [multipart([d]) for _, d in single[2]],
                [[multipart([d]) for _, d in m[2]] for m in many],
                multipart([d for _, d in batch[2]]),
            )

        async def sample(server, data, rnd):
            single, many, batch, p1, p8, p50 = data
            out = [None, None, None]

            async def sequential():
                begin = time.perf_counter()
                for payload in p1:
                    await server.store(payload, 1)
                return len(p1) / (time.perf_counter() - begin)

            async def client(payloads):
                for payload in payloads:
                    await server.store(payload, 1)

            async def parallel():
                begin = time.perf_counter()
                await asyncio.gather(*(client(p) for p in p8))
                return clients * per / (time.perf_counter() - begin)

            async def batched():
                return 50 / await server.store(p50, 50)

            for at, (figure, run) in enumerate(((one, sequential), (eight, parallel), (fifty, batched))):
                try:
                    out[at] = await run()
                except FAILURES as exc:
                    figure.fail(server, f"{type(exc).__name__}: {exc}")
            # what was stored is there: number of instances, and one of them byte for byte
            for figure, (study, series, files) in ((one, single), (eight, many[0]), (fifty, batch)):
                try:
                    _, found = await server.query(f"/studies/{study}/series/{series}/instances?limit=100")
                    if len(found) != len(files):
                        raise Bad(f"{len(found)} of {len(files)} stored instances are found")
                except FAILURES as exc:
                    figure.fail(server, f"after the store: {exc}")
            await self.tidy(server, [single[0], batch[0]] + [m[0] for m in many])
            return out

        await self.rounds_of([one, eight, fifty], prepare, sample)

    async def wado(self):
        await self.series_fixture()
        one = self.fig("wado_instance", "WADO-RS one 512 KB instance", "ms")
        whole = self.fig(
            "wado_series", f"WADO-RS series of {len(self.servers[0].series[2])} x 512 KB", "MB/s", "higher"
        )
        cpu = self.fig("wado_series_cpu", "WADO-RS the same series: CPU of the server", "ms")

        def prepare(rnd):
            return [self.make.rand.choice(list(self.servers[0].series[2])) for _ in range(self.few(12))]

        async def sample(server, uids, rnd):
            st, se, inst = server.series

            def getter(uid):
                async def call():
                    took, status, ctype, body = await server.call(
                        "GET", f"/studies/{st}/series/{se}/instances/{uid}", accept=server.accept["instance"]
                    )

                    def check():
                        if status != 200:
                            raise Bad(f"answered {status}")
                        self.check_parts(server, ctype, body, [uid])

                    return took, check

                return call

            ms = await self.many(one, server, [getter(uid) for uid in uids])
            rate = used = None
            before = self.cpu_seconds(server)
            try:
                took, status, ctype, body = await server.call(
                    "GET", f"/studies/{st}/series/{se}", accept=server.accept["series"]
                )
                used = (self.cpu_seconds(server) - before) * 1000 if before else None
                if status != 200:
                    raise Bad(f"answered {status}")
                rate = len(body) / took / 1e6
                self.check_parts(server, ctype, body, list(inst))
            except FAILURES as exc:
                whole.fail(server, f"{type(exc).__name__}: {exc}")
            return [ms, rate, used]

        await self.rounds_of([one, whole, cpu], prepare, sample)

    async def meta(self):
        await self.series_fixture()
        figure = self.fig("metadata", f"metadata of a series of {len(self.servers[0].series[2])} instances", "ms")

        async def sample(server, _, rnd):
            st, se, _inst = server.series

            async def call():
                took, status, _, body = await server.call(
                    "GET", f"/studies/{st}/series/{se}/metadata", accept=server.accept["json"]
                )

                def check():
                    if status != 200:
                        raise Bad(f"answered {status}")
                    self.check_metadata(server, body)

                return took, check

            return [await self.many(figure, server, [call] * self.few(3))]

        await self.rounds_of([figure], None, sample)

    @staticmethod
    def check_jpeg(status, ctype, body, raw):
        """A JPEG of the right size that shows this frame (random pixels: another one correlates with nothing)."""
        if status != 200:
            raise Bad(f"answered {status}: {body[:100]!r}")
        picture = Image.open(io.BytesIO(split_multipart(ctype, body)[0]))
        if picture.format != "JPEG" or picture.size != (COLS, ROWS):
            raise Bad(f"{picture.format} of {picture.size}")
        shown = np.asarray(picture.convert("L"), dtype=np.float32).ravel()
        meant = np.frombuffer(raw, dtype="<u2").astype(np.float32)
        alike = float(np.corrcoef(shown, meant)[0, 1]) if shown.std() else 0.0
        if not alike > 0.5:
            raise Bad(f"the JPEG does not show the frame (correlation {alike:.2f})")

    async def frame(self, rendered_too, frames_too):
        first = (
            self.fig("frame_first", f"one frame of {FRAMES} x 512 KB, first after the store", "ms")
            if frames_too
            else None
        )
        later = self.fig("frame", f"one frame of {FRAMES} x 512 KB, afterwards", "ms") if frames_too else None
        shown = self.fig("rendered_frame", f"rendered frame of {FRAMES} x 512 KB, JPEG", "ms") if rendered_too else None
        single = self.fig("rendered_instance", "rendered 512 KB CT instance, JPEG", "ms") if rendered_too else None
        size = ROWS * COLS * 2
        if rendered_too:
            await self.series_fixture()
        figs = [f for f in (first, later, shown, single) if f]

        def prepare(rnd):
            study, series = self.make.uid(), self.make.uid()
            pixels = self.make.pixels(FRAMES)
            uid, data = self.make.instance(study, series, 1, pixels=pixels, frames=FRAMES)
            chosen = self.make.rand.sample(range(1, FRAMES + 1), 1 + self.few(10))
            return f"/studies/{study}/series/{series}/instances/{uid}", study, pixels, multipart([data]), chosen

        async def sample(server, data, rnd):
            path, study, pixels, payload, chosen = data
            await server.store(payload, 1)

            def getter(number):
                async def call():
                    took, status, ctype, body = await server.call(
                        "GET", f"{path}/frames/{number}", accept=server.accept["frame"]
                    )

                    def check():
                        if status != 200:
                            raise Bad(f"answered {status}: {body[:100]!r}")
                        parts = split_multipart(ctype, body)
                        if len(parts) != 1 or parts[0] != pixels[(number - 1) * size : number * size]:
                            raise Bad(f"frame {number}: {len(parts)} parts, {len(parts[0])} bytes, not what was stored")

                    return took, check

                return call

            def renderer(where, raw):
                async def call():
                    took, status, ctype, body = await server.call("GET", where, accept=server.accept["rendered"])
                    return took, lambda: self.check_jpeg(status, ctype, body, raw)

                return call

            out = []
            if frames_too:
                out.append(await self.many(first, server, [getter(chosen[0])]))
                out.append(await self.many(later, server, [getter(n) for n in chosen[1:]]))
            if rendered_too:
                out.append(
                    await self.many(
                        shown,
                        server,
                        [
                            renderer(f"{path}/frames/{n}/rendered", pixels[(n - 1) * size : n * size])
                            for n in chosen[1 : 1 + self.few(4)]
                        ],
                    )
                )
                st, se, inst = server.series
                some = self.make.rand.sample(list(inst), self.few(4))
                out.append(
                    await self.many(
                        single,
                        server,
                        [renderer(f"/studies/{st}/series/{se}/instances/{u}/rendered", inst[u][-size:]) for u in some],
                    )
                )
            await self.tidy(server, [study])
            return out

        await self.agree_frames(prepare(-2))
        await self.rounds_of(figs, prepare, sample)

    async def agree_frames(self, data):
        """Accept types of frames and rendered frames, tried on an instance of their own."""
        path, study, pixels, payload, chosen = data
        size = ROWS * COLS * 2
        for server in self.servers:
            try:
                await server.store(payload, 1)
            except FAILURES as exc:
                server.notes.append(f"multi-frame fixture: {exc}")

        def whole(server, ctype, body):
            if split_multipart(ctype, body) != [pixels[:size]]:
                raise Bad("frame 1 differs")

        await self.agree("frame", lambda s: path + "/frames/1", whole)
        await self.agree(
            "rendered", lambda s: path + "/frames/1/rendered", lambda s, c, b: self.check_jpeg(200, c, b, pixels[:size])
        )
        for server in self.servers:
            await self.tidy(server, [study])

    async def delete(self):
        figure = self.fig("delete", "DELETE of a study of 10 x 512 KB", "ms")

        def prepare(rnd):
            study, series = self.make.uid(), self.make.uid()
            files = [self.make.instance(study, series, i + 1, pixels=self.make.pixels()) for i in range(10)]
            return study, multipart([d for _, d in files])

        async def sample(server, data, rnd):
            study, payload = data
            await server.store(payload, 10)
            took = await server.remove(study)
            _, status, _, _ = await server.call("GET", f"/studies/{study}/metadata", accept=JSON_TYPE)
            if status not in (404, 410):
                figure.fail(server, f"metadata of the deleted study answers {status}")
            return [took * 1000]

        await self.rounds_of([figure], prepare, sample)

    # ----- QIDO

    def planned(self, index):
        """Study number index of the prefill: 10 studies share a day and a family name."""
        while len(self.plan) <= index:
            i = len(self.plan)
            day = dt.date(2000, 1, 1) + dt.timedelta(days=i // 10)
            self.plan.append(
                {
                    "study": self.make.uid(),
                    "series": [self.make.uid(), self.make.uid()],
                    "patient": f"P{i:07d}",
                    "name": f"Fam{i // 10:05d}^Given{i}",
                    "date": day.strftime("%Y%m%d"),
                }
            )
        return self.plan[index]

    async def prefill(self, upto):
        """Studies of 2 series x 2 instances without pixel data, 40 instances per request."""
        for low in range(0, upto, 10):
            todo = [s for s in self.servers if len(s.prefilled) < min(upto, low + 10) and not s.forms.get("stopped")]
            if not todo:
                continue
            high = min(upto, low + 10)
            files = []
            for i in range(low, high):
                p = self.planned(i)
                for at, series in enumerate(p["series"]):
                    files += [
                        self.make.instance(
                            p["study"],
                            series,
                            n,
                            patient=p["patient"],
                            name=p["name"],
                            date=p["date"],
                            series_number=at + 1,
                        )[1]
                        for n in (1, 2)
                    ]
            payload = multipart(files)
            for server in todo:
                if server.prefill_seconds > self.args.prefill_cap:
                    server.forms["stopped"] = f"prefill stopped at {len(server.prefilled)} studies"
                    server.notes.append(server.forms["stopped"])
                    continue
                try:
                    server.prefill_seconds += await server.store(payload, len(files))
                    server.prefilled = list(range(high))
                except FAILURES as exc:
                    server.forms["stopped"] = f"prefill failed at {len(server.prefilled)} studies: {exc}"
                    server.notes.append(server.forms["stopped"])
            if (low // 10) % 50 == 49:
                say(
                    f"  prefill {high}/{upto}: "
                    + ", ".join(f"{s.name} {s.prefill_seconds:.0f} s" for s in self.servers)
                )

    async def qido(self, studies, suffix=""):
        await self.prefill(studies)
        for server in self.servers:
            self.info.setdefault(server.name, {})[f"prefill_{studies}"] = {
                "studies": len(server.prefilled),
                "stow_seconds": round(server.prefill_seconds, 2),
                "instances_per_s": round(4 * len(server.prefilled) / server.prefill_seconds, 1)
                if server.prefill_seconds
                else None,
            }
        tag = f"{studies} studies: "
        figs = {
            key: self.fig(f"qido_{key}{suffix}", "QIDO " + tag + label, "ms")
            for key, label in (
                ("patient_id", "PatientID exact (1 found)"),
                ("date", "StudyDate range (20 found)"),
                ("name", "PatientName prefix (10 found)"),
                ("all", f"/studies?limit=100 ({min(100, studies)} found)"),
                ("series", "series of a study (2 found)"),
                ("instances", "instances of a series (2 found)"),
            )
        }

        def uids(doc, tag):
            got = [item[tag]["Value"][0] for item in doc]
            if len(got) != len(set(got)):
                raise Bad(f"{len(got)} results, {len(set(got))} different")
            return set(got)

        def compare(server, doc, tag, want):
            got = uids(doc, tag)
            if (got != want) if server.was_empty else not got >= want:
                raise Bad(f"{len(got)} results instead of {len(want)}" if len(got) != len(want) else "other results")

        def cases(key, i):
            """[(path, tag, expected UIDs)], the forms of one query; the first that works is used."""
            p = self.planned(i)
            block = [self.plan[j]["study"] for j in range(i // 10 * 10, min(studies, i // 10 * 10 + 10))]
            fam = p["name"].split("^")[0]
            if key == "patient_id":
                return [(f"/studies?PatientID={p['patient']}", "0020000D", {p["study"]})]
            if key == "date":
                low = min(i // 10 * 10, max(0, (studies - 20) // 10 * 10))
                some = self.plan[low : min(studies, low + 20)]
                return [
                    (f"/studies?StudyDate={some[0]['date']}-{some[-1]['date']}", "0020000D", {q["study"] for q in some})
                ]
            if key == "name":
                return [
                    (f"/studies?PatientName={urllib.parse.quote(fam)}*", "0020000D", set(block)),
                    (f"/studies?PatientName={urllib.parse.quote(fam)}&fuzzymatching=true", "0020000D", set(block)),
                ]
            if key == "all":
                return [("/studies?limit=100", "0020000D", None)]
            if key == "series":
                return [(f"/studies/{p['study']}/series", "0020000E", set(p["series"]))]
            return [(f"/studies/{p['study']}/series/{p['series'][0]}/instances", "00080018", 2)]

        def verify(server, doc, tag, want):
            if want is None:
                got = uids(doc, tag)
                if len(got) != min(100, studies) and (server.was_empty or not min(100, studies) <= len(got) <= 100):
                    raise Bad(f"limit=100 over {studies} studies gives {len(got)}")
            elif isinstance(want, int):
                if len(uids(doc, tag)) != want:
                    raise Bad(f"{len(doc)} results instead of {want}")
            else:
                compare(server, doc, tag, want)

        # which form of the name query the server takes: wildcard, or fuzzymatching
        for server in self.servers:
            if "name" not in server.forms:
                server.forms["name"] = "0"
                for at, (path, tag_, want) in enumerate(cases("name", 0)):
                    try:
                        verify(server, (await server.query(path))[1], tag_, want)
                        server.forms["name"] = str(at)
                        break
                    except FAILURES:
                        pass

        def prepare(rnd):
            return [self.make.rand.randrange(studies) for _ in range(self.few(10))]

        async def sample(server, picks, rnd):
            out = []
            for key, figure in figs.items():
                if len(server.prefilled) < studies:
                    figure.fail(server, server.forms.get("stopped", "prefill incomplete"))
                    out.append(None)
                    continue

                def asker(i):
                    forms = cases(key, i)
                    path, tag_, want = forms[int(server.forms["name"])] if key == "name" else forms[0]

                    async def call():
                        took, doc = await server.query(path)
                        return took, lambda: verify(server, doc, tag_, want)

                    return call

                out.append(await self.many(figure, server, [asker(i) for i in picks]))
            return out

        await self.rounds_of(list(figs.values()), prepare, sample)
        return figs

    async def growth(self, base, big):
        low = {k: self.figures.get(f"qido_{k}") for k in ("patient_id", "date", "name", "all", "series", "instances")}
        if not all(low.values()):
            low = await self.qido(base)
        high = await self.qido(big, "_big")
        for key in low:
            figure = self.fig(f"growth_{key}", f"QIDO growth {base} -> {big} studies: {key}", "x")
            for server in self.servers:
                a, b = low[key].median(server.name), high[key].median(server.name)
                if a and b:
                    figure.add(server, b / a)
                for part in (low[key], high[key]):
                    for why in part.errors.get(server.name, []):
                        figure.fail(server, why)

    # ----- processes

    async def cold(self):
        figure = self.fig("cold_start", "cold start until the base URL answers", "s")
        for rnd in range(1 if self.args.quick else 3):
            for server in self.turn(rnd):
                start, stop = self.args.start.get(server.name), self.args.stop.get(server.name)
                if not start or (rnd and not stop):
                    continue
                if stop:
                    subprocess.run(stop, shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                for _ in range(100):
                    if not await self.answers(server):
                        break
                    await asyncio.sleep(0.1)
                else:
                    figure.fail(server, "was running already")
                    continue
                begin = time.perf_counter()
                subprocess.Popen(
                    start,
                    shell=True,
                    start_new_session=True,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                while not await self.answers(server):
                    if time.perf_counter() - begin > 180:
                        figure.fail(server, "no answer within 180 s")
                        break
                    await asyncio.sleep(0.01)
                else:
                    figure.add(server, time.perf_counter() - begin)
                await asyncio.sleep(1)

    async def answers(self, server):
        try:
            async with server.session.get(
                server.base + "/studies?limit=1", headers={"Accept": JSON_TYPE}, timeout=aiohttp.ClientTimeout(total=30)
            ) as resp:
                await resp.read()
                return resp.status in (200, 204)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError):
            return False

    def processes(self, server):
        """The processes of a server and their children; none if --pids does not name any."""
        spec = self.args.pids.get(server.name, "")
        if spec.startswith("!"):
            spec = subprocess.run(spec[1:], shell=True, capture_output=True, text=True).stdout
        return descendants([int(p) for p in re.findall(r"\d+", spec)])

    def cpu_seconds(self, server):
        """What the living threads of a server have used so far (Linux)."""
        total = 0
        for pid in self.processes(server):
            for thread in glob.glob(f"/proc/{pid}/task/*/schedstat"):
                with contextlib.suppress(OSError):
                    total += int(open(thread).read().split()[0])
        return total / 1e9

    def memory(self, when):
        rss = self.fig(f"rss_{when}", f"memory {when}: RSS, processes and children", "MB")
        pss = self.fig(f"pss_{when}", f"memory {when}: PSS (shared pages counted once)", "MB")
        for server in self.servers:
            pids = self.processes(server)
            if not pids:
                continue
            total, share = 0, 0
            for pid in pids:
                try:
                    total += int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1))
                    share += int(re.search(r"^Pss:\s+(\d+)", open(f"/proc/{pid}/smaps_rollup").read(), re.M).group(1))
                except (OSError, AttributeError):
                    continue
            if total:
                rss.add(server, total / 1024)
                pss.add(server, share / 1024)
                self.info.setdefault(server.name, {})[f"processes_{when}"] = len(pids)
            else:
                rss.fail(server, "no such processes")

    # ----- the run

    async def run(self):
        for server in self.servers:
            await server.open()
        try:
            await self.groups()
        finally:
            for server in self.servers:
                await server.session.close()

    async def groups(self):
        args = self.args

        def on(group):
            return not args.only or group in args.only

        if on("cold") and args.start:
            say("cold start")
            await self.cold()
        for server in self.servers:
            if not await self.answers(server):
                sys.exit(f"{server.name}: {server.base} does not answer")
            try:
                server.was_empty = not (await server.query("/studies?limit=1"))[1]
            except FAILURES:
                server.was_empty = False
            if not server.was_empty:
                server.notes.append("was not empty at the start")
                say(f"note: {server.name} is not empty")
        if on("mem") and args.pids:
            await asyncio.sleep(3)
            self.memory("idle at start")
        for group, work in (("check", self.check), ("stow", self.stow), ("wado", self.wado), ("meta", self.meta)):
            if on(group):
                await self.step(group, work())
        if on("frame") or on("rendered"):
            await self.step("frame, rendered", self.frame(on("rendered"), on("frame")))
        if on("delete"):
            await self.step("delete", self.delete())
        if self.servers[0].series:
            for server in self.servers:
                await self.tidy(server, [server.series[0]])
        if on("qido"):
            await self.step(f"qido {args.studies}", self.qido(args.studies))
        if on("growth") and args.growth > 1:
            await self.step("growth", self.growth(args.studies, args.studies * args.growth))
        if on("mem") and args.pids:
            await asyncio.sleep(5)
            self.memory("idle after load")
        if not args.keep and self.plan:
            say("clean-up")
            for server in self.servers:
                await self.tidy(server, [self.plan[i]["study"] for i in server.prefilled])

    async def step(self, name, work):
        begin = time.perf_counter()
        try:
            await work
        except FAILURES as exc:  # outside any sample: the group is given up, the run goes on
            say(f"{name}: given up: {type(exc).__name__}: {exc}")
            for server in self.servers:
                server.notes.append(f"group {name} given up: {exc}")
        say(f"{name}: {time.perf_counter() - begin:.1f} s, load {os.getloadavg()[0]:.1f}")

    def table(self) -> str:
        first = self.servers[0].name
        rows = [["figure", "unit", "better"]]
        for s in self.servers:
            rows[0] += [s.name, "range"] + ([] if s.name == first else [f"/{first}"])
        for f in self.figures.values():
            if not f.samples and not f.errors:
                continue
            row = [f.label, f.unit, f.better]
            base = f.median(first) if first not in f.errors else None
            for s in self.servers:
                value, wrong = f.median(s.name), s.name in f.errors
                if f.unit == "pass":
                    text = "FAIL" if wrong else "pass" if value else "-"
                elif value is None:
                    text = "DQ" if wrong else "-"
                else:
                    text = f"DQ ({num(value)})" if wrong else num(value)
                many = f.samples.get(s.name, [])
                row += [text, f"{num(min(many))}..{num(max(many))}" if len(many) > 1 else ""]
                if s.name != first:
                    row.append(f"{value / base:.2f}" if value and base and not wrong and f.unit != "pass" else "-")
            rows.append(row)
        widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
        lines = [
            "  ".join(c.ljust(w) if i < 3 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths))).rstrip()
            for r in rows
        ]
        lines.insert(1, "-" * max(map(len, lines)))
        faults = [
            f"  {name}: {f.label}: {f.error_count[name]} wrong: {'; '.join(whys)}"
            for f in self.figures.values()
            for name, whys in f.errors.items()
        ]
        notes = [f"  {s.name}: {n}" for s in self.servers for n in s.notes[:5]]
        return "\n".join(
            lines
            + (["", "disqualified or failed:"] + faults if faults else [])
            + (["", "notes:"] + notes if notes else [])
        )

    def document(self, load) -> dict:
        first = self.servers[0].name
        figures = {}
        for key, f in self.figures.items():
            base = f.median(first) if first not in f.errors else None
            entry = {"label": f.label, "unit": f.unit, "better": f.better, "servers": {}}
            for s in self.servers:
                value, wrong = f.median(s.name), s.name in f.errors
                if value is None and not wrong:
                    continue
                entry["servers"][s.name] = {
                    "median": value,
                    "valid": not wrong,
                    "samples": f.samples.get(s.name, []),
                    "ratio_to_first": value / base if value and base and not wrong else None,
                    "errors": f.error_count.get(s.name, 0),
                    "reasons": f.errors.get(s.name, []),
                }
            figures[key] = entry
        a = self.args
        return {
            "date": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
            "options": {
                "studies": a.studies,
                "growth": a.growth,
                "rounds": self.rounds,
                "quick": a.quick,
                "only": sorted(a.only),
                "concurrency": a.concurrency,
                "seed": a.seed,
            },
            "machine": {
                "cpus": os.cpu_count(),
                "system": platform.system(),
                "arch": platform.machine(),
                "python": platform.python_version(),
                "aiohttp": aiohttp.__version__,
                "pydicom": pydicom.__version__,
                "load_start": load,
                "load_end": os.getloadavg(),
            },
            "servers": {
                s.name: {
                    "base": s.base,
                    "software": s.software,
                    "empty_at_start": s.was_empty,
                    "accept": s.accept,
                    "name_query": {"0": "wildcard", "1": "fuzzymatching"}.get(s.forms.get("name", "")),
                    "notes": s.notes,
                    **self.info.get(s.name, {}),
                }
                for s in self.servers
            },
            "figures": figures,
        }


def num(value) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def say(text):
    print(text, file=sys.stderr, flush=True)


def descendants(roots):
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as f:
                    children.setdefault(int(f.read().rsplit(")", 1)[1].split()[1]), []).append(int(entry))
            except OSError:
                continue
    seen, queue = [], list(roots)
    while queue:
        pid = queue.pop()
        if pid not in seen:
            seen.append(pid)
            queue += children.get(pid, [])
    return seen


def pairs(items):
    out = {}
    for item in items or []:
        name, sep, value = item.partition("=")
        if not sep:
            sys.exit(f"{item}: NAME=VALUE is meant")
        out[name] = value
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="+", metavar="NAME=BASEURL")
    parser.add_argument("--studies", type=int, default=50, help="studies prefilled for the queries (default 50)")
    parser.add_argument(
        "--growth", type=int, default=10, help="the growth group compares N with GROWTH x N (default 10)"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help="2 rounds, fewer requests, a series of 20 instead of 100")
    parser.add_argument("--only", default="", help="groups, comma-separated")
    parser.add_argument("--json", metavar="OUT", help="write the results there")
    parser.add_argument("--append", action="store_true", help="add this run to those in the --json file")
    parser.add_argument(
        "--pids",
        action="append",
        metavar="NAME=PID,PID",
        help="processes (their children included) whose memory is measured; NAME=!COMMAND takes "
        "what the command prints",
    )
    parser.add_argument("--start", action="append", metavar="NAME=COMMAND", help="for the cold start")
    parser.add_argument(
        "--stop",
        action="append",
        metavar="NAME=COMMAND",
        help="stops the server before each cold start (3 of them); without it the server must be "
        "down at the beginning and is started once",
    )
    parser.add_argument("--header", action="append", metavar="NAME=HEADER:VALUE", help="sent with each request")
    parser.add_argument("--prefill-cap", type=float, default=600, help="seconds of prefilling per server")
    parser.add_argument("--keep", action="store_true", help="leave the prefilled studies")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.only = {g for g in args.only.split(",") if g}
    known = {"cold", "check", "stow", "wado", "meta", "frame", "rendered", "delete", "qido", "growth", "mem"}
    if args.only - known:
        parser.error("unknown groups: " + ", ".join(sorted(args.only - known)))
    args.pids, args.start, args.stop = pairs(args.pids), pairs(args.start), pairs(args.stop)
    headers: dict[str, dict] = {}
    for item in args.header or []:
        name, _, rest = item.partition("=")
        key, _, value = rest.partition(":")
        headers.setdefault(name, {})[key.strip()] = value.strip()
    servers = [Server(name, base, headers.get(name, {})) for name, base in pairs(args.servers).items()]
    load = os.getloadavg()
    bench = Bench(args, servers)
    asyncio.run(bench.run())
    print(bench.table())
    if args.json:
        runs = []
        if args.append and os.path.exists(args.json):
            with open(args.json) as old:
                runs = json.load(old)["runs"]
        with open(args.json, "w") as out:
            json.dump({"runs": runs + [bench.document(load)]}, out, indent=1)
            out.write("\n")
    sys.exit(0)


if __name__ == "__main__":
    main()
