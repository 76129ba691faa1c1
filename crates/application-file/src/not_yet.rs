//! What people may look for and no device carries out yet: refused by name, with what
//! there is instead. A line leaves this file with the change that makes it work.

const FIELDS: &[(&str, &str)] = &[
    ("prefer", "placement says what a device has to have; there are no preferences"),
    ("network", "modules have no network"),
    ("stack_bytes", "every call has 256 KiB of native stack"),
    ("log_lines_per_s_max", "every module may log 20 lines a second"),
    ("publishes_per_s_max", "every module may publish 100 times a second"),
    ("known_answers", "write them here, as [[module.step]]"),
];

pub fn field(name: &str) -> Option<&'static str> {
    FIELDS.iter().find(|(field, _)| *field == name).map(|(_, why)| *why)
}
