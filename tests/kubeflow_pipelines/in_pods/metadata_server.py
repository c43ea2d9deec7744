"""
ML Metadata's service, over the store in its Python package: ``metadata_server.py ADDRESS PORT DATABASE``.

The store takes and gives serialized messages under the names of the service's methods, so that each of them is handed
through as it is. Runs as a process of its own, in an environment that has that package alone.
"""

from __future__ import annotations

import sys
import threading
from concurrent import futures

import grpc
from ml_metadata.metadata_store import metadata_store  # noqa: F401  # makes the next one importable
from ml_metadata.metadata_store.pywrap.metadata_store_extension import metadata_store as store
from ml_metadata.proto import metadata_store_pb2, metadata_store_service_pb2

CODES = {code.value[0]: code for code in grpc.StatusCode}
LARGEST_MESSAGE = 100 * 1024 * 1024


class Handler(grpc.GenericRpcHandler):
    """
    All methods, one call at a time.

    :param file: the database, which is made if it is not there.
    """

    def __init__(self, file: str) -> None:
        config = metadata_store_pb2.ConnectionConfig()
        config.sqlite.filename_uri = file
        config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        options = metadata_store_pb2.MigrationOptions()
        self._store = store.CreateMetadataStore(config.SerializeToString(), options.SerializeToString())
        self._lock = threading.Lock()
        service = metadata_store_service_pb2.DESCRIPTOR.services_by_name["MetadataStoreService"]
        self._methods = {f"/{service.full_name}/{method.name}": method.name for method in service.methods}

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """How one method is answered."""
        method = getattr(store, self._methods.get(details.method, ""), None)
        if method is None:
            return None

        def answer(asked: bytes, context: grpc.ServicerContext) -> bytes:
            with self._lock:
                told, message, code = method(self._store, asked)
            if code:
                context.abort(CODES.get(code, grpc.StatusCode.UNKNOWN), message.decode(errors="replace"))
            return told

        return grpc.unary_unary_rpc_method_handler(answer)  # neither way is parsed: bytes come, and bytes go


def main(address: str, port: str, file: str) -> None:
    """Serve until the end."""
    options = [("grpc.max_receive_message_length", LARGEST_MESSAGE)]
    server = grpc.server(futures.ThreadPoolExecutor(8), options=options)
    server.add_generic_rpc_handlers((Handler(file),))
    server.add_insecure_port(f"{address}:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
