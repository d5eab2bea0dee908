"""Drives the worker library as its process does, by the orders that the check sends. Runs on Python 3.13, by itself.

    python -m tests.runtime.driver PORT

PORT is where the check listens; an order is a line of JSON, as is the answer to it.
"""

import asyncio
import gc
import json
import logging
import sys
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import azure_functions_runtime as runtime  # type: ignore[import-not-found]
from azure_functions_runtime.http_v2 import http_coordinator  # type: ignore[import-not-found]

from tests.runtime.messages import message_classes

PROTOS = message_classes()
PROPERTIES = {"host": "127.0.0.1", "protos": PROTOS}


class Records(logging.Handler):
    """Keeps what is logged; the real worker sends it to the host."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        self.lines.append((record.name, record.levelname, record.getMessage()))


RECORDS = Records()


def over_the_wire(message: Any) -> Any:
    """The message as it arrives at the other end."""
    return type(message).FromString(message.SerializeToString())


async def ask(handler: Callable[[Any], Awaitable[Any]], **content: Any) -> Any:
    """Give one request of the host to the library; its answer."""
    message = over_the_wire(PROTOS.StreamingMessage(request_id="1", **content))
    return over_the_wire(await handler(SimpleNamespace(request=message, properties=PROPERTIES)))


def status(result: Any) -> dict[str, Any]:
    """A StatusResult for the check."""
    succeeded = result.status == PROTOS.StatusResult.Success
    return {"succeeded": succeeded, "error": result.exception.message + result.exception.stack_trace}


async def init(directory: str) -> dict[str, Any]:
    """WorkerInitRequest."""
    request = PROTOS.WorkerInitRequest(
        host_version="4.1045.0", function_app_directory=directory, capabilities={"FunctionDataCache": "False"}
    )
    answer = await ask(runtime.worker_init_request, worker_init_request=request)
    return {**status(answer.result), "capabilities": dict(answer.capabilities)}


async def metadata(directory: str) -> dict[str, Any]:
    """FunctionsMetadataRequest."""
    request = PROTOS.FunctionsMetadataRequest(function_app_directory=directory)
    answer = await ask(runtime.functions_metadata_request, functions_metadata_request=request)
    functions = [
        {
            "name": one.name,
            "id": one.function_id,
            "script_file": one.script_file,
            "bindings": [json.loads(binding) for binding in one.raw_bindings],
        }
        for one in answer.function_metadata_results
    ]
    return {**status(answer.result), "functions": functions}


async def load(function: str) -> dict[str, Any]:
    """FunctionLoadRequest."""
    request = PROTOS.FunctionLoadRequest(function_id=function)
    answer = await ask(runtime.function_load_request, function_load_request=request)
    return status(answer.result)


async def invoke(
    invocation: str, function: str, parameter: str, data: dict[str, Any], trigger: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """InvocationRequest; `data` is what the trigger gives, `trigger` its metadata."""
    request = PROTOS.InvocationRequest(
        invocation_id=invocation,
        function_id=function,
        input_data=[PROTOS.ParameterBinding(name=parameter, data=typed(data))],
        trigger_metadata={name: typed(value) for name, value in trigger.items()},
    )
    answer = await ask(runtime.invocation_request, invocation_request=request)
    return status(answer.result)


def typed(data: dict[str, Any]) -> Any:
    """TypedData of one kind: {"json": "..."}, {"string": "..."}, {"int": 1} or {"http": {...}}."""
    if "http" in data:
        return PROTOS.TypedData(http=PROTOS.RpcHttp(**data["http"]))
    return PROTOS.TypedData(**data)


async def left_behind() -> dict[str, Any]:
    """What is still there of earlier requests."""
    for _ in range(3):
        gc.collect()
    kinds = {"Request": 0, "Response": 0, "AsyncContextReference": 0}
    objects = gc.get_objects()
    for one in objects:
        name = type(one).__name__
        if name in kinds:
            kinds[name] += 1
    tasks = len(asyncio.all_tasks())
    return {"references": len(http_coordinator._context_references), "objects": len(objects), "tasks": tasks, **kinds}


async def logged() -> dict[str, Any]:
    """What has been logged since the last time."""
    lines, RECORDS.lines = RECORDS.lines, []
    return {"lines": lines}


ORDERS: dict[str, Callable[..., Awaitable[dict[str, Any]]]] = {
    function.__name__: function for function in (init, metadata, load, invoke, left_behind, logged)
}


async def main(port: int) -> None:
    """Carry out orders until the check hangs up."""
    logging.basicConfig(level=logging.INFO, handlers=[RECORDS])
    runtime.start_threadpool_executor()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    running = set()

    async def carry_out(order: dict[str, Any]) -> None:
        number = order.pop("number")
        answer = await ORDERS[order.pop("order")](**order)
        writer.write(json.dumps({"number": number, **answer}).encode() + b"\n")

    while line := await reader.readline():
        task = asyncio.create_task(carry_out(json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
