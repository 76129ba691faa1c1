//! A heater under control: reads the sensor `temperature` and publishes on `heater`
//! how much of its power it shall give, from 0 to 1, as a little-endian f64.
//!
//! A PID controller in its parallel form with a fixed step of one tick. The derivative
//! is of the measurement, so that a new setpoint gives no kick, and the integral stands
//! still while the output is at its end, so that it does not wind up.

const std = @import("std");

const setpoint: f64 = 21.0;
const gain: f64 = 0.30;
const integral_per_tick: f64 = 0.02;
const derivative_ticks: f64 = 0.50;

const farrier = struct {
    extern "farrier" fn log(level: i32, text: [*]const u8, len: usize) void;
    extern "farrier" fn sensor_open(name: [*]const u8, len: usize) i32;
    extern "farrier" fn sensor_read(sensor: i32, sample: *f64) i32;
    extern "farrier" fn publish(channel: [*]const u8, channel_len: usize, payload: [*]const u8, len: usize) i32;
};

var sensor: i32 = -1;
var integral: f64 = 0;
var before: ?f64 = null;

export fn init() i32 {
    const name = "temperature";
    sensor = farrier.sensor_open(name, name.len);
    if (sensor >= 0) return 0;
    const text = "the sensor temperature is not granted";
    farrier.log(0, text, text.len);
    return 1;
}

export fn tick() i32 {
    var measured: f64 = undefined;
    if (farrier.sensor_read(sensor, &measured) < 0) return 2;
    const power = step(measured);
    const channel = "heater";
    const payload = std.mem.asBytes(&power);
    return if (farrier.publish(channel, channel.len, payload, payload.len) < 0) 3 else 0;
}

fn step(measured: f64) f64 {
    const err = setpoint - measured;
    const slope = if (before) |last| measured - last else 0;
    before = measured;
    const wanted = gain * (err - derivative_ticks * slope) + integral + integral_per_tick * err;
    const power = std.math.clamp(wanted, 0, 1);
    if (power == wanted) integral += integral_per_tick * err;
    return power;
}
