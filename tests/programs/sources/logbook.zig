//! What the `logbook` of every language does: `logbook DIRECTORY EXIT_CODE` uses each
//! capability of WASI preview 1 and says the same in each. Answers: answers/logbook.txt.

const std = @import("std");

pub fn main(init: std.process.Init) !void {
    const io = init.io;
    const arena = init.arena.allocator();
    const arguments = try init.minimal.args.toSlice(arena);
    var buffer: [1024]u8 = undefined;
    var writer = std.Io.File.stdout().writerStreaming(io, &buffer);
    const out = &writer.interface;

    try out.writeAll("arguments:");
    for (arguments[1..]) |argument| try out.print(" {s}", .{argument});
    try out.print("\nUNIT={s}\n", .{init.environ_map.get("UNIT") orelse ""});
    const directory = init.preopens.get(arguments[1]).?.dir;
    try out.print("run {d}\n", .{try countRun(io, directory)});
    const content = try writeLevels(io, directory);
    try out.print("{d} bytes, hash {x:0>8}\n", .{ content.len, std.hash.Fnv1a_32.hash(content) });
    try list(io, arena, directory, out);
    const missing = directory.openFile(io, "missing", .{});
    const not_found = if (missing) |_| false else |err| err == error.FileNotFound;
    try out.print("missing: {s}\n", .{if (not_found) "not found" else "?"});
    const outside = directory.openFile(io, "../../etc/passwd", .{});
    try out.print("outside: {s}\n", .{if (outside) |_| "open" else |_| "refused"});
    const before = std.Io.Clock.awake.now(io);
    const passed = std.Io.Clock.awake.now(io).nanoseconds - before.nanoseconds;
    const day = @divTrunc(std.Io.Clock.real.now(io).nanoseconds, std.time.ns_per_s);
    try out.print("time: {s}\n", .{if (passed >= 0 and day > 1_600_000_000) "goes on" else "?"});
    var one: [16]u8 = undefined;
    var other: [16]u8 = undefined;
    try io.randomSecure(&one);
    try io.randomSecure(&other);
    try out.print("random: {s}\n", .{if (std.mem.eql(u8, &one, &other)) "no" else "yes"});
    try out.flush();
    try std.Io.File.stderr().writeStreamingAll(io, "logbook: done\n");
    std.process.exit(try std.fmt.parseInt(u8, arguments[2], 10));
}

/// Kept in a file that is replaced as a whole.
fn countRun(io: std.Io, directory: std.Io.Dir) !u32 {
    var buffer: [16]u8 = undefined;
    const before = directory.readFile(io, "runs.txt", &buffer) catch |err| switch (err) {
        error.FileNotFound => "0",
        else => return err,
    };
    const run = 1 + try std.fmt.parseInt(u32, std.mem.trim(u8, before, "\n"), 10);
    const text = try std.fmt.bufPrint(&buffer, "{d}\n", .{run});
    try directory.writeFile(io, .{ .sub_path = "runs.new", .data = text });
    try directory.rename("runs.new", directory, "runs.txt", io);
    return run;
}

var content_buffer: [1024]u8 = undefined;

/// Writes, seeks back and overwrites, appends, and reads all of it again.
fn writeLevels(io: std.Io, directory: std.Io.Dir) ![]const u8 {
    directory.createDir(io, "day", .default_dir) catch |err| switch (err) {
        error.PathAlreadyExists => {},
        else => return err,
    };
    const file = try directory.createFile(io, "day/levels.txt", .{ .read = true });
    defer file.close(io);
    var buffer: [64]u8 = undefined;
    var writer = file.writer(io, &buffer);
    for (0..100) |level| try writer.interface.print("{d}\n", .{level * level});
    try writer.interface.flush();
    try file.writePositionalAll(io, "one", 2);
    try file.writePositionalAll(io, "end\n", try file.length(io));
    const len = try file.readPositionalAll(io, &content_buffer, 0);
    return content_buffer[0..len];
}

fn list(io: std.Io, arena: std.mem.Allocator, directory: std.Io.Dir, out: *std.Io.Writer) !void {
    var names: std.ArrayList([]const u8) = .empty;
    var entries = directory.iterate();
    while (try entries.next(io)) |entry| try names.append(arena, try arena.dupe(u8, entry.name));
    std.mem.sort([]const u8, names.items, {}, isBefore);
    try out.writeAll("holds:");
    for (names.items) |name| try out.print(" {s}", .{name});
    try out.writeAll("\n");
}

fn isBefore(_: void, a: []const u8, b: []const u8) bool {
    return std.mem.lessThan(u8, a, b);
}
