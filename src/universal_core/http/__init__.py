"""What plugins use to add endpoints: bodies read and checked, calls to models, streams, errors."""

from universal_core.http.body import check, decode, read_bytes, read_json
from universal_core.http.calls import answer, answer_text, collect, open_call, runtime_of
from universal_core.http.defaults import explained, fill, reads
from universal_core.http.errors import error_response
from universal_core.http.form import Upload, read_form
from universal_core.http.scope import caller, note, request_id, trace_headers
from universal_core.http.shapes import ErrorShape, ShapedRoute
from universal_core.http.stream import DONE, ByteStream, EventStream, comment, data, frames, until_disconnect

__all__ = [
    "DONE",
    "ByteStream",
    "ErrorShape",
    "EventStream",
    "ShapedRoute",
    "Upload",
    "answer",
    "answer_text",
    "caller",
    "check",
    "collect",
    "comment",
    "data",
    "decode",
    "error_response",
    "explained",
    "fill",
    "frames",
    "note",
    "open_call",
    "read_bytes",
    "read_form",
    "read_json",
    "reads",
    "request_id",
    "runtime_of",
    "trace_headers",
    "until_disconnect",
]
