"""Writes known-answers.toml: what xxhash.wasm must compute.

The expected values come from PyPI's package xxhash, a binding of the reference
implementation in C, and so from other code than the module's own.

    pip install xxhash && python3 known_answers.py > known-answers.toml
"""

import xxhash

# Addresses in the module's one page. Nothing of its own lies there: it has no
# data segment and keeps no state outside what its caller hands it.
INPUT = 1024
STATE = 256
STATE_BYTES = {32: 48, 64: 88}

# Around the algorithm's own boundaries: nothing, a tail only, exactly one stripe
# of 16 (32-bit) and of 32 bytes (64-bit), one more, and several stripes.
LENGTHS = [0, 5, 16, 32, 33, 100]
SEEDS_32 = [0, 0x9E3779B1]
SEEDS_64 = [0, 0x9E3779B185EBCA87]

TEXT = bytes(b"Farrier compiles WebAssembly ahead of time for many architectures. " * 2)[:100]


def step(**keys):
    print("\n[[step]]")
    for key, value in keys.items():
        print(f"{key} = {value}")


def call(name, args, result=None):
    args = ", ".join(f'"{arg}"' for arg in args)
    keys = {"call": f'"{name}"', "args": f"[{args}]"}
    if result is not None:
        keys["expect"] = f'["{result}"]'
    step(**keys)


def write(address, data):
    step(write=f'{{ address = {address}, hex = "{data.hex()}" }}')


def i32(number):
    return f"i32:0x{number:08x}"


def i64(number):
    return f"i64:0x{number:016x}"


print("# What xxhash.wasm must compute. Written by known_answers.py; see README.md.")
print("format = 1")

write(INPUT, TEXT)
for length in LENGTHS:
    for seed in SEEDS_32:
        expected = xxhash.xxh32_intdigest(TEXT[:length], seed)
        call("xxh32", [i32(INPUT), i32(length), i32(seed)], i32(expected))
    for seed in SEEDS_64:
        expected = xxhash.xxh64_intdigest(TEXT[:length], seed)
        call("xxh64", [i32(INPUT), i32(length), i64(seed)], i64(expected))

# The same bytes as a stream in uneven parts, which a carry between stripes needs.
PARTS = [1, 30, 69]
for bits, seed, to_seed, to_digest in (
    (32, SEEDS_32[1], i32, i32),
    (64, SEEDS_64[1], i64, i64),
):
    # init sets the seed alone and expects the rest to be zero, as the package's own
    # JavaScript leaves it. Without this a second run would start from the first's end.
    write(STATE, bytes(STATE_BYTES[bits]))
    call(f"init{bits}", [i32(STATE), to_seed(seed)])
    start = 0
    for part in PARTS:
        call(f"update{bits}", [i32(STATE), i32(INPUT + start), i32(part)])
        start += part
    whole = getattr(xxhash, f"xxh{bits}_intdigest")(TEXT[:start], seed)
    call(f"digest{bits}", [i32(STATE)], to_digest(whole))

step(read=f'{{ address = {INPUT}, hex = "{TEXT[:16].hex()}" }}')
