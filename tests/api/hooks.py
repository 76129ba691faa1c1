"""What Schemathesis has to know of this API beyond its document: bodies that are bytes."""

import schemathesis
from hypothesis import strategies as st


@schemathesis.serializer("application/wasm", "application/cose", "application/octet-stream")
def as_bytes(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode()


# Half of them begin as a module does, or they would all be refused at the first byte.
schemathesis.openapi.media_type(
    "application/wasm",
    st.one_of(st.binary(max_size=256), st.binary(max_size=256).map(lambda b: b"\0asm\1\0\0\0" + b)),
)
for kind in ("application/cose", "application/octet-stream"):
    schemathesis.openapi.media_type(kind, st.binary(max_size=256))
