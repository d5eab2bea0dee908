"""The protobuf messages between the Functions host and a worker, as far as this check uses them.

Names, numbers and types of the fields are those of FunctionRpc.proto in Azure/azure-functions-language-worker-protobuf.
The classes are made by protobuf itself: they refuse fields that they do not know, and everything that the check sends
and receives passes through their wire format.
"""

from types import SimpleNamespace
from typing import Any

from google.protobuf import (  # type: ignore[import-untyped]
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)

PACKAGE = "AzureFunctionsRpcMessages"

MESSAGES = {
    "StreamingMessage": "request_id=1:string worker_init_request=17|WorkerInitRequest "
    "worker_init_response=16|WorkerInitResponse function_load_request=8|FunctionLoadRequest "
    "function_load_response=9|FunctionLoadResponse invocation_request=4|InvocationRequest "
    "invocation_response=5|InvocationResponse functions_metadata_request=29|FunctionsMetadataRequest "
    "function_metadata_response=30|FunctionMetadataResponse",
    "WorkerInitRequest": "host_version=1:string capabilities=2{string worker_directory=4:string "
    "function_app_directory=5:string",
    "WorkerInitResponse": "worker_version=1:string capabilities=2{string result=3:StatusResult "
    "worker_metadata=4:WorkerMetadata",
    "WorkerMetadata": "runtime_name=1:string runtime_version=2:string worker_version=3:string worker_bitness=4:string "
    "custom_properties=5{string",
    "StatusResult": "status=4:StatusResult.Status result=1:string exception=2:RpcException",
    "RpcException": "source=3:string stack_trace=1:string message=2:string is_user_exception=4:bool type=5:string",
    "FunctionLoadRequest": "function_id=1:string metadata=2:RpcFunctionMetadata managed_dependency_enabled=3:bool",
    "FunctionLoadResponse": "function_id=1:string result=2:StatusResult is_dependency_downloaded=3:bool",
    "RpcFunctionMetadata": "name=4:string directory=1:string script_file=2:string entry_point=3:string "
    "bindings=6{BindingInfo is_proxy=7:bool status=8:StatusResult language=9:string raw_bindings=10[string "
    "function_id=13:string managed_dependency_enabled=14:bool retry_options=15:RpcRetryOptions properties=16{string",
    "RpcRetryOptions": "max_retry_count=2:int32",
    "FunctionsMetadataRequest": "function_app_directory=1:string",
    "FunctionMetadataResponse": "function_metadata_results=1[RpcFunctionMetadata result=2:StatusResult "
    "use_default_metadata_indexing=3:bool",
    "InvocationRequest": "invocation_id=1:string function_id=2:string input_data=3[ParameterBinding "
    "trigger_metadata=4{TypedData trace_context=5:RpcTraceContext retry_context=6:RetryContext",
    "RpcTraceContext": "trace_parent=1:string trace_state=2:string attributes=3{string",
    "RetryContext": "retry_count=1:int32 max_retry_count=2:int32 exception=3:RpcException",
    "InvocationResponse": "invocation_id=1:string output_data=2[ParameterBinding return_value=4:TypedData "
    "result=3:StatusResult",
    "TypedData": "string=1|string json=2|string bytes=3|bytes stream=4|bytes http=5|RpcHttp int=6|sint64 "
    "double=7|double collection_bytes=8|CollectionBytes collection_string=9|CollectionString",
    "CollectionBytes": "bytes=1[bytes",
    "CollectionString": "string=1[string",
    "ParameterBinding": "name=1:string data=2|TypedData",
    "BindingInfo": "type=2:string direction=3:BindingInfo.Direction data_type=4:BindingInfo.DataType "
    "properties=5{string",
    "RpcHttp": "method=1:string url=2:string headers=3{string body=4:TypedData params=10{string "
    "status_code=12:string query=15{string enable_content_negotiation=16:bool rawBody=17:TypedData",
}
"""Each field as name=number and, after `:` its type, after `[` that of a list, after `{` that of a map from string,
after `|` that of a choice of which only one is set."""

ENUMS = {
    "StatusResult.Status": "Failure Success Cancelled",
    "BindingInfo.Direction": "in out inout",
    "BindingInfo.DataType": "undefined string binary stream",
}

CHOICES = {"StreamingMessage": "content", "TypedData": "data", "ParameterBinding": "rpc_data"}

SCALARS = {
    name: getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{name.upper()}")
    for name in ("string", "bytes", "bool", "int32", "sint64", "double")
}


def message_classes() -> SimpleNamespace:
    """The classes by name, as the worker library expects its `protos`."""
    file = descriptor_pb2.FileDescriptorProto(name="FunctionRpc.proto", package=PACKAGE, syntax="proto3")
    for name, fields in MESSAGES.items():
        add_message(file, name, fields)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return SimpleNamespace(
        **{name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in MESSAGES}
    )


def add_message(file: Any, name: str, fields: str) -> None:
    """Describe one message."""
    message = file.message_type.add(name=name)
    for full_name, values in ENUMS.items():
        owner, _, short = full_name.partition(".")
        if owner == name:
            enum = message.enum_type.add(name=short)
            for number, value in enumerate(values.split()):
                enum.value.add(name=value, number=number)
    if name in CHOICES:
        message.oneof_decl.add(name=CHOICES[name])
    for text in fields.split():
        add_field(message, name, text)


def add_field(message: Any, owner: str, text: str) -> None:
    """Describe one field."""
    mark = next(character for character in text if character in ":[{|")
    left, _, kind = text.partition(mark)
    name, _, number = left.partition("=")
    field = message.field.add(name=name, number=int(number), label=1)
    if mark == "{":
        entry = "".join(part.capitalize() for part in name.split("_")) + "Entry"
        nested = message.nested_type.add(name=entry)
        nested.options.map_entry = True
        set_type(nested.field.add(name="key", number=1, label=1), "string")
        set_type(nested.field.add(name="value", number=2, label=1), kind)
        kind = f"{owner}.{entry}"
    if mark in "[{":
        field.label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
    if mark == "|":
        field.oneof_index = 0
    set_type(field, kind)


def set_type(field: Any, kind: str) -> None:
    """Set the type of a field: a scalar, an enumeration or a message."""
    if kind in SCALARS:
        field.type = SCALARS[kind]
        return
    proto = descriptor_pb2.FieldDescriptorProto
    field.type = proto.TYPE_ENUM if kind in ENUMS else proto.TYPE_MESSAGE
    field.type_name = f".{PACKAGE}.{kind}"
