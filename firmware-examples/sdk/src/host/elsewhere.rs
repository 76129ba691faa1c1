//! Lets a module's own unit tests run where it is developed: nothing is granted.

const DENIED: i32 = -2;
const ABSENT: i32 = -7;

pub fn log(_level: i32, _text: &[u8]) {}

pub fn clock_monotonic_ns() -> i64 {
    0
}

pub fn clock_wall_ms(_time: &mut [u8; 8]) -> i32 {
    0
}

pub fn random(_bytes: &mut [u8]) -> i32 {
    DENIED
}

pub fn metric_set(_name: &[u8], _value: &[u8; 8]) -> i32 {
    0
}

pub fn config_get(_key: &[u8], _buffer: &mut [u8]) -> i32 {
    ABSENT
}

pub fn kv_get(_key: &[u8], _buffer: &mut [u8]) -> i32 {
    DENIED
}

pub fn kv_set(_key: &[u8], _value: &[u8]) -> i32 {
    DENIED
}

pub fn kv_delete(_key: &[u8]) -> i32 {
    DENIED
}

pub fn sensor_open(_name: &[u8]) -> i32 {
    DENIED
}

pub fn sensor_read(_handle: i32, _sample: &mut [u8; 8]) -> i32 {
    DENIED
}

pub fn publish(_channel: &[u8], _payload: &[u8]) -> i32 {
    DENIED
}

pub fn receive(_channel: &[u8], _buffer: &mut [u8]) -> i32 {
    DENIED
}

pub fn actuator_set(_name: &[u8], _value: &[u8; 8]) -> i32 {
    DENIED
}
