//! Checksums and a cipher from Zig's standard library, over bytes that a generator makes.

const std = @import("std");

var buffer: [4096]u8 = undefined;
var digest: [32]u8 = undefined;

/// Fills the buffer from a seed and gives its CRC-32.
export fn crc32(seed: u32, len: u32) u32 {
    fill(seed);
    return std.hash.Crc32.hash(buffer[0..@min(len, buffer.len)]);
}

/// The first 8 bytes of the SHA-256, as a big-endian number.
export fn sha256(seed: u32, len: u32) u64 {
    fill(seed);
    std.crypto.hash.sha2.Sha256.hash(buffer[0..@min(len, buffer.len)], &digest, .{});
    return std.mem.readInt(u64, digest[0..8], .big);
}

/// XORs the buffer with ChaCha20 under a zero key and gives the CRC-32 of the result.
export fn chacha20(seed: u32, len: u32) u32 {
    fill(seed);
    const bytes = buffer[0..@min(len, buffer.len)];
    const zeros: [32]u8 = @splat(0);
    std.crypto.stream.chacha.ChaCha20IETF.xor(bytes, bytes, 0, zeros, zeros[0..12].*);
    return std.hash.Crc32.hash(bytes);
}

fn fill(seed: u32) void {
    var state = seed;
    for (&buffer) |*byte| {
        state = state *% 1664525 +% 1013904223;
        byte.* = @truncate(state >> 24);
    }
}
