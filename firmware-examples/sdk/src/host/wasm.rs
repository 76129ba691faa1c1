//! The imports themselves. An address is an i32 on this target, which is what the API
//! takes.

mod imports {
    #[link(wasm_import_module = "farrier")]
    unsafe extern "C" {
        pub fn log(level: i32, text: *const u8, text_len: usize);
        pub safe fn clock_monotonic_ns() -> i64;
        pub fn clock_wall_ms(time: *mut u8) -> i32;
        pub fn random(bytes: *mut u8, len: usize) -> i32;
        pub fn metric_set(name: *const u8, name_len: usize, value: *const u8) -> i32;
        pub fn config_get(key: *const u8, key_len: usize, value: *mut u8, value_len: usize) -> i32;
        pub fn kv_get(key: *const u8, key_len: usize, value: *mut u8, value_len: usize) -> i32;
        pub fn kv_set(key: *const u8, key_len: usize, value: *const u8, value_len: usize) -> i32;
        pub fn kv_delete(key: *const u8, key_len: usize) -> i32;
        pub fn sensor_open(name: *const u8, name_len: usize) -> i32;
        pub fn sensor_read(handle: i32, sample: *mut u8) -> i32;
        pub fn publish(
            channel: *const u8,
            channel_len: usize,
            payload: *const u8,
            payload_len: usize,
        ) -> i32;
        pub fn actuator_set(name: *const u8, name_len: usize, value: *const u8) -> i32;
        pub fn receive(
            channel: *const u8,
            channel_len: usize,
            payload: *mut u8,
            payload_len: usize,
        ) -> i32;
    }
}

pub use imports::clock_monotonic_ns;

pub fn log(level: i32, text: &[u8]) {
    // SAFETY: the host reads exactly these bytes, during the call.
    unsafe { imports::log(level, text.as_ptr(), text.len()) }
}

pub fn clock_wall_ms(time: &mut [u8; 8]) -> i32 {
    // SAFETY: the host writes eight bytes there, during the call.
    unsafe { imports::clock_wall_ms(time.as_mut_ptr()) }
}

pub fn random(bytes: &mut [u8]) -> i32 {
    // SAFETY: the host writes exactly these bytes, during the call.
    unsafe { imports::random(bytes.as_mut_ptr(), bytes.len()) }
}

pub fn metric_set(name: &[u8], value: &[u8; 8]) -> i32 {
    // SAFETY: the host reads exactly these bytes, during the call.
    unsafe { imports::metric_set(name.as_ptr(), name.len(), value.as_ptr()) }
}

pub fn config_get(key: &[u8], buffer: &mut [u8]) -> i32 {
    // SAFETY: the host reads the key and writes at most the buffer's length, during the
    // call.
    unsafe { imports::config_get(key.as_ptr(), key.len(), buffer.as_mut_ptr(), buffer.len()) }
}

pub fn kv_get(key: &[u8], buffer: &mut [u8]) -> i32 {
    // SAFETY: the host reads the key and writes at most the buffer's length, during the
    // call.
    unsafe { imports::kv_get(key.as_ptr(), key.len(), buffer.as_mut_ptr(), buffer.len()) }
}

pub fn kv_set(key: &[u8], value: &[u8]) -> i32 {
    // SAFETY: the host reads exactly these bytes, during the call.
    unsafe { imports::kv_set(key.as_ptr(), key.len(), value.as_ptr(), value.len()) }
}

pub fn kv_delete(key: &[u8]) -> i32 {
    // SAFETY: the host reads exactly these bytes, during the call.
    unsafe { imports::kv_delete(key.as_ptr(), key.len()) }
}

pub fn sensor_open(name: &[u8]) -> i32 {
    // SAFETY: the host reads exactly these bytes, during the call.
    unsafe { imports::sensor_open(name.as_ptr(), name.len()) }
}

pub fn sensor_read(handle: i32, sample: &mut [u8; 8]) -> i32 {
    // SAFETY: the host writes eight bytes there, during the call.
    unsafe { imports::sensor_read(handle, sample.as_mut_ptr()) }
}

pub fn publish(channel: &[u8], payload: &[u8]) -> i32 {
    // SAFETY: the host reads exactly these bytes, during the call.
    unsafe { imports::publish(channel.as_ptr(), channel.len(), payload.as_ptr(), payload.len()) }
}

pub fn receive(channel: &[u8], buffer: &mut [u8]) -> i32 {
    // SAFETY: the host reads the channel's name and writes at most the buffer's length,
    // during the call.
    unsafe { imports::receive(channel.as_ptr(), channel.len(), buffer.as_mut_ptr(), buffer.len()) }
}

pub fn actuator_set(name: &[u8], value: &[u8; 8]) -> i32 {
    // SAFETY: the host reads exactly these bytes, during the call.
    unsafe { imports::actuator_set(name.as_ptr(), name.len(), value.as_ptr()) }
}
