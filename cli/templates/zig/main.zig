//! Publishes by how much the temperature has changed.

const std = @import("std");

const farrier = struct {
    extern "farrier" fn log(level: i32, text: [*]const u8, len: usize) void;
    extern "farrier" fn sensor_open(name: [*]const u8, len: usize) i32;
    extern "farrier" fn sensor_read(sensor: i32, sample: *f64) i32;
    extern "farrier" fn publish(channel: [*]const u8, channel_len: usize, payload: [*]const u8, len: usize) i32;
};

var sensor: i32 = -1;
var before: ?f64 = null;

/// Called once. What it returns is 0 for good, or your own number for what went wrong.
export fn init() i32 {
    const name = "temperature";
    sensor = farrier.sensor_open(name, name.len);
    if (sensor >= 0) return 0;
    const text = "the sensor temperature is not granted";
    farrier.log(0, text, text.len);
    return 1;
}

/// Called at the interval of the deployment.
export fn tick() i32 {
    var sample: f64 = undefined;
    if (farrier.sensor_read(sensor, &sample) < 0) return 2;
    const change = sample - (before orelse sample);
    before = sample;
    if (change == 0) return 0;
    const channel = "change";
    const payload = std.mem.asBytes(&change);
    return if (farrier.publish(channel, channel.len, payload, payload.len) < 0) 3 else 0;
}
