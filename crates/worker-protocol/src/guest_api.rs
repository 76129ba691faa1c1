//! The functions that modules may import: numbers, names and types.
//!
//! The worker registers them by this table, the gateway compares uploads with it, and
//! figures of calls travel by number.

use crate::call_table::call_table;

/// Numbers are only ever added, and so are functions; a change of one that is here
/// would need another version.
pub const GUEST_API_VERSION: u32 = 1;

/// What all of them are imported from.
pub const GUEST_API_MODULE: &str = "farrier";

/// The types that cross. No f32: WAMR passes it wrongly on RISC-V in its usual
/// convention, so samples and the like travel through memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestType {
    I32,
    I64,
}

call_table! {
    /// One function of the guest API.
    GuestCall of GUEST_API_MODULE {
        0 Log "log" (I32 I32 I32);
        1 ClockMonotonicNs "clock_monotonic_ns" () -> I64;
        2 SensorOpen "sensor_open" (I32 I32) -> I32;
        3 SensorRead "sensor_read" (I32 I32) -> I32;
        4 Publish "publish" (I32 I32 I32 I32) -> I32;
        5 ClockWallMs "clock_wall_ms" (I32) -> I32;
        6 Random "random" (I32 I32) -> I32;
        7 MetricSet "metric_set" (I32 I32 I32) -> I32;
        8 ConfigGet "config_get" (I32 I32 I32 I32) -> I32;
        9 KvGet "kv_get" (I32 I32 I32 I32) -> I32;
        10 KvSet "kv_set" (I32 I32 I32 I32) -> I32;
        11 KvDelete "kv_delete" (I32 I32) -> I32;
        12 Receive "receive" (I32 I32 I32 I32) -> I32;
        13 ActuatorSet "actuator_set" (I32 I32 I32) -> I32;
    }
}

impl GuestCall {
    pub fn number(self) -> u8 {
        self as u8
    }

    /// `None` for a function that this build does not know.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|call| call.number() == number)
    }
}

impl GuestType {
    pub fn name(self) -> &'static str {
        match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_distinct_and_count_from_zero() {
        for (index, call) in GuestCall::ALL.iter().enumerate() {
            assert_eq!(usize::from(call.number()), index);
            assert_eq!(GuestCall::from_number(call.number()), Some(*call));
            assert_eq!(GuestCall::from_import_name(&call.import_name()), Some(*call));
        }
        assert_eq!(GuestCall::from_number(200), None);
        assert_eq!(GuestCall::from_import_name("farrier.fly"), None);
        assert_eq!(GuestCall::Publish.signature(), "(i32, i32, i32, i32) -> i32");
        assert_eq!(GuestCall::Log.signature(), "(i32, i32, i32) -> ()");
    }
}
