"""The other end of `driver.py`: a worker process as a host sees it."""

import itertools
import json
import socket
import subprocess
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

from shared.azurite import ROOT
from shared.devhost.functions import HostedFunction, in_host_order
from shared.devhost.routing import path_segments, route_table
from tests.support.processes import host_environment

ANSWER_SECONDS = 120


class RuntimeWorker:
    """The real worker library with our app in it, and what a host does with it."""

    def __init__(self, python: str, settings: Mapping[str, str], output: Path, directory: Path = ROOT) -> None:
        """With the requirements of the check in `python`, and the app in `directory`."""
        self.output = output
        self._directory = directory
        self._numbers = itertools.count()
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._http = httpx.Client(timeout=ANSWER_SECONDS)
        self.functions: list[HostedFunction] = []
        self.ids: dict[str, str] = {}
        self.url = ""
        with socket.create_server(("127.0.0.1", 0)) as server, output.open("wb") as log:
            server.settimeout(ANSWER_SECONDS)
            command = [python, "-m", "tests.runtime.driver", str(server.getsockname()[1])]
            environment = {**host_environment(), "PYTHONPATH": str(ROOT), **settings}
            self.process = subprocess.Popen(
                command, cwd=directory, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
            self._connection, _ = server.accept()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
        self._connection.shutdown(socket.SHUT_RDWR)
        self._reader.join(10)
        self._connection.close()
        self.process.terminate()
        self.process.wait(20)

    def _read(self) -> None:
        with self._connection.makefile("rb") as lines:
            for line in lines:
                answer = json.loads(line)
                self._waiting.pop(answer.pop("number")).set_result(answer)

    def order(self, order: str, **arguments: Any) -> "Future[dict[str, Any]]":
        """Give an order; its answer comes later."""
        number = next(self._numbers)
        future = self._waiting[number] = Future()
        line = json.dumps({"number": number, "order": order, **arguments}) + "\n"
        self._connection.sendall(line.encode())
        return future

    def ask(self, order: str, **arguments: Any) -> dict[str, Any]:
        """Give an order and wait."""
        return self.order(order, **arguments).result(ANSWER_SECONDS)

    def index(self) -> None:
        """Init and metadata: afterwards the functions and the address of the worker's web server are known."""
        answer = self.ask("init", directory=str(self._directory))
        assert answer["succeeded"], answer["error"]
        self.url = answer["capabilities"]["HttpUri"]
        answer = self.ask("metadata", directory=str(self._directory))
        assert answer["succeeded"], answer["error"]
        for one in answer["functions"]:
            [trigger] = [binding for binding in one["bindings"] if binding["type"].lower().endswith("trigger")]
            self.functions.append(HostedFunction(one["name"], trigger, print))
            self.ids[one["name"]] = one["id"]

    def invoke(
        self,
        function: HostedFunction,
        data: Mapping[str, Any],
        trigger: Mapping[str, Mapping[str, Any]] | None = None,
        invocation: str | None = None,
    ) -> "Future[dict[str, Any]]":
        """Invoke a function with what its trigger gives."""
        return self.order(
            "invoke",
            invocation=invocation or str(uuid.uuid4()),
            function=self.ids[function.name],
            parameter=function.parameter,
            data=data,
            trigger=trigger or {},
        )

    def request(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | Iterable[bytes] | None = None,
        client: httpx.Client | None = None,
    ) -> httpx.Response:
        """One request as the host passes it on: to the web server, and as an invocation of the function that fits."""
        invocation, done = self._invoke_for(method, target)
        response = (client or self._http).request(
            method, self.url + target, headers={**(headers or {}), "x-ms-invocation-id": invocation}, content=content
        )
        answer = done.result(ANSWER_SECONDS)
        assert answer["succeeded"], answer["error"]
        return response

    def stream(self, method: str, target: str, *, headers: Mapping[str, str]) -> Iterator[bytes]:
        """The body of a successful answer in pieces as they come."""
        invocation, done = self._invoke_for(method, target)
        told = {**headers, "x-ms-invocation-id": invocation}
        with self._http.stream(method, self.url + target, headers=told) as response:
            assert response.status_code == 200, response.read()
            yield from response.iter_raw()
        answer = done.result(ANSWER_SECONDS)
        assert answer["succeeded"], answer["error"]

    def _invoke_for(self, method: str, target: str) -> "tuple[str, Future[dict[str, Any]]]":
        """Invoke the function that the host would choose for a request; the request itself is to follow."""
        path = path_segments(target.partition("?")[0].encode())
        found = route_table(in_host_order(self.functions), "").find(method, path)
        assert found is not None, target
        function, values = found
        invocation = str(uuid.uuid4())
        http = {"method": method, "url": self.url + target, "params": values}
        return invocation, self.invoke(function, {"http": http}, invocation=invocation)

    def memory(self) -> int:
        """Bytes that the process holds in memory."""
        return int(psutil.Process(self.process.pid).memory_info().rss)


class MemoryWatch:
    """The most memory that a worker held while the block ran, in `most`; what it held before, in `before`."""

    def __init__(self, worker: RuntimeWorker) -> None:
        self._worker = worker
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.before = self.most = 0

    def __enter__(self) -> Self:
        self.before = self.most = self._worker.memory()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            self.most = max(self.most, self._worker.memory())

    @property
    def growth(self) -> int:
        """Bytes above what was held before."""
        return self.most - self.before
