//! What is read, and what is said of what is wrong.

use application_file::{
    ApplicationFile, Devices, Direction, ERRORS_MAX, FILE_BYTES_MAX, FileError, Isolation,
    Placement, Scope, Source, Wasi, WasiRestart, json_schema, read,
};
use expect_test::{Expect, expect};

const WHOLE: &str = r#"
format = 1
name = "climate"
devices = "all"

[[module]]
name = "filter"
file = "build/filter.wasm"
interval_ms = 500
metering = true
targets = ["aarch64-linux"]
sensors = ["temperature", "humidity"]
storage_bytes = 4096
config = { window = "16", "unit of measure" = "°C" }

[module.limits]
memory_bytes_max = 2_097_152
call_ms_max = 50

[[module.channel]]
name = "average"
direction = "publish"

[[module]]
name = "threshold"
devices = ["kitchen", "cellar"]
any_of = [{ file = "simd.wasm" }, { version = 3 }]
"#;

fn whole() -> ApplicationFile {
    read(WHOLE).unwrap_or_else(|errors| panic!("{}", lines(&errors)))
}

fn lines(errors: &[FileError]) -> String {
    errors.iter().map(|error| format!("{error}\n")).collect()
}

fn refused(text: &str, expected: Expect) {
    let errors = read(text).expect_err("it is wrong");
    expected.assert_eq(&lines(&errors));
}

#[test]
fn a_file_says_what_runs_where() {
    let file = whole();
    assert_eq!(file.name.value, "climate");
    let [filter, threshold] = file.modules.as_slice() else { panic!("{file:?}") };
    assert_eq!((filter.interval_ms, filter.call_ms_max), (Some(500), Some(50)));
    assert_eq!(filter.memory_bytes_max, Some(2 << 20));
    assert!(filter.metering && !filter.canonical_nans);
    assert_eq!((filter.storage_bytes, filter.config["window"].as_str()), (Some(4_096), "16"));
    assert_eq!(filter.config["unit of measure"], "°C");
    assert_eq!(filter.targets.as_ref().map(Vec::len), Some(1));
    assert_eq!(filter.devices, Devices::All);
    assert_eq!(filter.channels[0].direction, Direction::Publish);
    assert_eq!(filter.channels[0].scope, Scope::Both, "unless given");
    let sources: Vec<_> = threshold.builds.iter().map(|build| build.source.clone()).collect();
    assert_eq!(sources, [Source::File("simd.wasm".into()), Source::Version(3)]);
    assert!(matches!(&threshold.devices, Devices::These(these) if these.len() == 2));
    assert_eq!(file.uploads(), ["build/filter.wasm", "simd.wasm"]);
    assert_eq!(threshold.name.at.to_string(), "25:8");
}

#[test]
fn all_errors_of_a_file_are_told_at_once_with_their_places() {
    refused(
        r#"format = 1
name = "Climate"
colour = "red"

[[module]]
name = "filter"
file = "filter.wasm"
sensor = ["temperature"]
interval_ms = "fast"
labels = ["kitchen"]

[module.limits]
memory_bytes_max = -1
call_ms_max = 0

[[module.channel]]
direction = "publish"
"#,
        expect![[r#"
            2:8: "Climate" is no name for the application: use 1 to 64 lower-case letters, digits or '-'
            3:1: there is no field "colour" here; take it out. There are format, name, devices, targets, placement, module
            8:1: there is no field "sensor" here; did you mean "sensors"?
            9:15: "interval_ms" is wrong: invalid type: string "fast", expected a whole number from 0 to 4294967295
            10:1: there is no field "labels" here; write placement = { labels = … }
            13:20: "memory_bytes_max" is wrong: invalid value: integer `-1`, expected a whole number from 0 on
            14:15: call_ms_max is 0; it has to be 1 to 60000
            16:1: "name" is missing here; add it
        "#]],
    );
}

#[test]
fn what_does_not_fit_together_is_told_by_name() {
    refused(
        r#"format = 1
name = "climate"
devices = "none"

[[module]]
name = "filter"
file = "filter.wasm"
version = 1
class = "real-time"
sensors = ["a", "b", "a"]

[[module.channel]]
name = "average"
direction = "publish"

[[module.channel]]
name = "average"
direction = "publish"
scope = "local"

[[module.channel]]
name = "average"
direction = "subscribe"
scope = "local"

[[module]]
name = "filter"
id = "abc"

[[module]]
name = "empty"

[[module]]
name = "twice"
any_of = [{ version = 1 }, { version = 1 }, {}]
"#,
        expect![[r#"
            3:11: "none" is neither "all" nor a list; write devices = ["none"] for one device
            5:1: give one of file, version and id, and not several
            9:9: the class "real-time" needs a table [module.real_time] with policy and runtime_us (docs/real-time.md)
            10:22: sensor "a" is there already, at 10:12
            17:8: channel "average" is there already, at 13:8
            19:9: scope "local" is not supported yet for what a module publishes: it goes to the gateway and to the modules of its device that subscribe. Leave scope out
            22:8: module "filter" publishes on channel "average" and subscribes to it, and never hears itself; use two channels
            24:9: scope "local" is not supported yet: operators can send on every channel that a module subscribes to. Leave scope out
            27:8: module "filter" is there already, at 6:8
            28:6: "abc" is no id: it is the module's SHA-256 in 64 lower-case hexadecimal digits
            30:1: it is not said which bytes run; give file, version, id or any_of
            35:40: version 1 is there already, at 35:23
            35:45: the build is empty; give file, version or id
        "#]],
    );
}

#[test]
fn a_configuration_is_text_within_bounds() {
    let file = |config: &str| {
        format!(
            "format = 1\nname = \"a\"\ndevices = \"all\"\n[[module]]\nname = \"b\"\nversion = 1\n\
             storage_bytes = 300000\n[module.config]\n{config}"
        )
    };
    let long = "x".repeat(513);
    refused(
        &file(&format!("window = 16\nlong = \"{long}\"\n\"\" = \"none\"\n")),
        expect![[r#"
        7:17: storage_bytes is 300000; it has to be 0 to 262144
        9:10: "window" is wrong: invalid type: integer `16`, expected a string
        10:8: the value of "long" has 513 bytes, and 512 are the most
        11:6: "" is no key: use 1 to 64 bytes without control characters
    "#]],
    );
    let many: String = (0..33).map(|n| format!("k{n} = \"v\"\n")).collect();
    refused(
        &file(&many),
        expect![[r#"
        7:17: storage_bytes is 300000; it has to be 0 to 262144
        8:1: the configuration has 33 entries of 122 bytes together; 32 of 4096 bytes are the most
    "#]],
    );
}

#[test]
fn what_follows_at_a_limit_has_to_be_possible() {
    refused(
        "format = 1\nname = \"a\"\ndevices = \"all\"\n[[module]]\nname = \"b\"\nversion = 1\n\
         [module.limits]\ngas_per_call_max = 0\n[module.limits.actions]\nfuel = \"stop\"\n\
         call-time = \"warn\"\ngas-rate = \"stop\"\nlog-rate = \"shout\"\nmessage-rate = \"stop\"\n",
        expect![[r#"
            8:20: gas_per_call_max is 0; it has to be 1 to 9223372036854775807
            10:8: "fuel" is no limit with an action; there are gas-per-call, gas-rate, call-time, log-rate, message-rate
            11:13: call-time cannot warn; it can stop, restart
            12:12: there is no limit that gas-rate would be about; give gas_per_s_max too
            13:12: "shout" is no action; there are warn, throttle, restart, stop
        "#]],
    );
}

#[test]
fn channels_have_one_direction_and_one_scope() {
    refused(
        r#"format = 1
name = "a"
devices = "all"
[[module]]
name = "filter"
version = 1
channel = [{ name = "average", direction = "publish" }, { name = "x", direction = "listen" }]
[[module]]
name = "alarm"
version = 1
actuators = ["siren", "siren"]
[[module.channel]]
name = "average"
direction = "subscribe"
scope = "remote"
[[module.channel]]
name = "limit"
direction = "subscribe"
scope = "far"
"#,
        expect![[r#"
            7:83: there is no direction "listen"; there are "publish" and "subscribe"
            11:23: actuator "siren" is there already, at 11:14
            13:8: channel "average" is said to be remote, and module "filter" publishes on it; leave scope out
            19:9: there is no scope "far"; there are "both" and "remote"
        "#]],
    );
}

#[test]
fn known_answers_are_read_step_by_step() {
    let head =
        "format = 1\nname = \"a\"\ndevices = \"all\"\n[[module]]\nname = \"b\"\nversion = 1\n";
    let good = format!(
        "{head}step = [{{ write = {{ address = 1, text = \"hi\" }} }}, {{ call = \"f\", args = [\"i32:5\"], \
         expect = [\"i64:-2\"] }}, {{ read = {{ address = 1, hex = \"6869\" }} }}]\n"
    );
    let file = read(&good).unwrap();
    let told: Vec<String> = file.modules[0].steps.iter().map(|s| s.value.to_string()).collect();
    assert_eq!(told, ["write 2 bytes at 1", "call f(i32:5) = (i64:-2)", "read 2 bytes at 1"]);
    refused(
        &format!(
            "{head}[[module.step]]\ncall = \"f\"\nargs = [\"5\"]\n[[module.step]]\nread = {{ address = 1 }}\n\
             [[module.step]]\n[[module.step]]\ncall = \"f\"\nresult = []\n"
        ),
        expect![[r#"
            7:1: "5" is no value: write type and number, such as "i32:-1", "i64:0xff", "f64:1.5" or a float's bits as "f64:0x3ff0000000000000"
            10:1: give the bytes as either text or hex
            12:1: a step is one of write, read, or call with args and expect
            15:1: there is no field "result" here; take it out. There are write, read, call, args, expect
        "#]],
    );
}

#[test]
fn a_module_without_a_place_is_refused() {
    refused(
        "format = 1\nname = \"a\"\n[[module]]\nname = \"b\"\nversion = 1\n",
        expect![[r#"
        3:1: it is not said where the module runs; give devices = "all", or a list of devices, to the module or to the application
    "#]],
    );
}

#[test]
fn a_module_has_its_own_process_unless_it_says_with_whom_it_shares() {
    let of = |rest: &str| {
        let text = format!(
            "format = 1\nname = \"a\"\ndevices = \"all\"\n[[module]]\nname = \"b\"\nversion = 1\n{rest}"
        );
        let module = read(&text).unwrap().modules.remove(0);
        (module.isolation, module.priority)
    };
    assert_eq!(of(""), (Isolation::Module, None));
    assert_eq!(of("isolation = \"module\""), (Isolation::Module, None));
    assert_eq!(of("isolation = \"shared\"\npriority = 7"), (Isolation::Shared, Some(7)));
    assert_eq!(of("isolation = \"application\""), (Isolation::Application, None));
    let module =
        "format = 1\nname = \"a\"\ndevices = \"all\"\n[[module]]\nname = \"b\"\nversion = 1\n";
    refused(
        &format!("{module}isolation = \"shared\"\ncpus = [1]\ncpu_weight = 200\n"),
        expect![[r#"
        8:8: cpus is for a module with a process of its own; leave it out, or leave isolation out
        9:14: cpu_weight is for a module with a process of its own; leave it out, or leave isolation out
    "#]],
    );
    refused(
        &format!("{module}isolation = \"none\"\npriority = 8\n"),
        expect![[r#"
        7:13: there is no isolation "none"; there is "module" for a process of its own, "application" for one with the modules of this file, and "shared" for one with all modules of the device that share
        8:12: priority is 8; it has to be 0 to 7
        8:12: priority is among the modules of one process, and this one has its own; leave it out, or give isolation = "application" or "shared"; that of a real-time module stands in [module.real_time]
    "#]],
    );
}

#[test]
fn errors_of_syntax_are_told_before_all_others() {
    refused(
        "format = 1\nname = \"a\nmodule = [\n",
        expect![[r#"
        2:10: not TOML: invalid basic string, expected `"`
        3:11: not TOML: unclosed array, expected `]`
    "#]],
    );
    refused(
        "format = 1\nformat = 1\n",
        expect![[r#"
        2:1: not TOML: duplicate key
    "#]],
    );
}

#[test]
fn another_format_is_refused_before_its_fields_are_judged() {
    refused(
        "format = 2\nblocks = 3\n",
        expect![[r#"
        1:10: the file has format 2, and this build reads format 1; a newer Farrier reads it
    "#]],
    );
    refused(
        "name = \"a\"\n",
        expect![[r#"
        1:1: "format" is missing here; add it
    "#]],
    );
    refused(
        "",
        expect![[r#"
        1:1: "format" is missing here; add it
    "#]],
    );
}

#[test]
fn a_value_of_another_type_is_told_once() {
    refused(
        "format = \"1\"\nname = 3\nmodule = 4\ndevices = 5\n",
        expect![[r#"
        1:10: "format" is wrong: invalid type: string "1", expected a whole number from 0 to 4294967295
        2:8: "name" is wrong: invalid type: integer `3`, expected a string
        3:10: "module" is wrong: invalid type: integer `4`, expected a list
        4:11: "devices" is wrong: invalid type: integer `5`, expected "all" or a list of devices
    "#]],
    );
}

#[test]
fn endless_errors_and_endless_files_are_bounded() {
    let many: String = (0..1_000).map(|n| format!("x{n} = 1\n")).collect();
    assert_eq!(read(&format!("format = 1\n{many}")).unwrap_err().len(), ERRORS_MAX);
    let long = format!("# {}", "x".repeat(FILE_BYTES_MAX));
    assert_eq!(read(&long).unwrap_err().len(), 1);
    let deep = format!("a = {}", "[".repeat(10_000));
    assert!(!read(&deep).unwrap_err().is_empty());
    let name = "n".repeat(100_000);
    let errors = read(&format!("format = 1\nname = \"{name}\"\n{name} = 1")).unwrap_err();
    assert!(errors.iter().all(|error| error.what.len() < 1_000), "{errors:?}");
}

/// An editor completes by the schema what the reader takes, and nothing else.
#[test]
fn the_schema_has_the_fields_of_the_reader() {
    let schema = json_schema();
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], serde_json::json!(["format", "name"]));
    let module = &schema["$defs"]["Module"];
    assert_eq!(module["additionalProperties"], false);
    let properties = module["properties"].as_object().expect("the module's fields");
    for field in properties.keys() {
        // Each is known: a wrong value is told as such, and not as an unknown field.
        let text = format!("format = 1\nname = \"a\"\n[[module]]\n{field} = 1979-05-27\n");
        let errors = read(&text).unwrap_err();
        assert!(errors.iter().all(|e| !e.what.contains("no field")), "{field}: {errors:?}");
    }
    assert!(properties.values().all(|field| field["description"].is_string()), "{module}");
}

const WASI: &str = r#"
format = 1
name = "reports"
devices = "all"

[[module]]
name = "summary"
version = 1

[module.wasi]
arguments = ["--short", "/data"]
environment = { LANG = "de" }
stdout = "log"
clock = true
random = false
sockets = false
restart = "always"
directories = [
    { guest = "/data", private_bytes = 65_536 },
    { guest = "/site", host = "site", read_only = true },
]
"#;

#[test]
fn what_a_module_may_reach_through_wasi_is_said_one_by_one() {
    let file = read(WASI).unwrap_or_else(|errors| panic!("{}", lines(&errors)));
    let wasi = &file.modules[0].wasi.as_ref().unwrap().value;
    assert_eq!(wasi.arguments, ["--short", "/data"]);
    assert_eq!(wasi.environment["LANG"], "de");
    assert_eq!((wasi.stdout_to_log, wasi.clock, wasi.random), (true, Some(true), Some(false)));
    assert_eq!(wasi.restart, Some(WasiRestart::Always));
    assert_eq!(wasi.sockets, Some(false));
    let [own, site] = wasi.directories.as_slice() else { panic!("{wasi:?}") };
    assert_eq!((own.guest.as_str(), own.private_bytes), ("/data", Some(65_536)));
    assert_eq!((site.host.as_deref(), site.read_only), (Some("site"), true));
    let without = WASI.split("[module.wasi]").next().unwrap();
    assert_eq!(read(without).unwrap().modules[0].wasi, None);
    let empty = format!("{without}[module.wasi]\n");
    assert_eq!(read(&empty).unwrap().modules[0].wasi.as_ref().unwrap().value, Wasi::default());
}

#[test]
fn what_is_wrong_about_wasi_is_said_with_its_place() {
    let wrong = WASI
        .replace("\"log\"", "\"file\"")
        .replace("\"always\"", "\"often\"")
        .replace("LANG = ", "\"A=B\" = ")
        .replace("clock", "clocks")
        .replace("sockets = false", "sockets = true")
        .replace("--short", "a\\u0000");
    refused(
        &wrong,
        expect![[r#"
            11:14: the argument has a NUL in it, which ends strings
            12:25: "A=B" is no name for a variable: it needs a character or more, and no '='
            13:10: stdout cannot go to "file"; give "log", or leave it out to deny it
            14:1: there is no field "clocks" here; did you mean "clock"?
            16:11: there are no sockets to give: a module has no network; publish on a channel, or give false to have their functions answer "notsock"
            17:11: restart is "often"; there are "on-failure", "never" and "always"
        "#]],
    );
    let wrong = WASI
        .replace("\"/data\"", "\"data\"")
        .replace("65_536", "0, read_only = true")
        .replace("host = \"site\", ", "");
    refused(
        &wrong,
        expect![[r#"
            19:15: "data" is no path for a directory: begin it with '/', without empty parts, '.' and '..', in at most 128 bytes
            19:39: private_bytes is 0; it has to be 1 to 67108864
            19:54: read_only goes with host; a directory of its own would stay empty
            20:5: give either private_bytes, for a directory of its own, or host, the name of one of the device's
        "#]],
    );
    let long = WASI.replace("--short", &"x".repeat(513));
    refused(
        &long,
        expect![[r#"
        11:14: the argument has 513 bytes, and 512 are the most
    "#]],
    );
}

#[test]
fn a_file_can_be_linked_with_others() {
    let text = "format = 1\nname = \"a\"\ndevices = \"all\"\n[[module]]\nname = \"b\"\n\
                any_of = [{ file = \"x.wasm\", link = { math = \"m.wasm\", z = \"z.wasm\" } }, \
                { file = \"x.wasm\", link = { math = \"n.wasm\" } }, { file = \"x.wasm\" }]\n";
    let file = read(text).unwrap();
    assert_eq!(
        file.uploads(),
        ["x.wasm with math=m.wasm, z=z.wasm", "x.wasm with math=n.wasm", "x.wasm"]
    );
    let of = |module: &str| {
        format!("format = 1\nname = \"a\"\ndevices = \"all\"\n[[module]]\nname = \"b\"\n{module}\n")
    };
    refused(
        &of("version = 1\nlink = { math = \"m.wasm\" }"),
        expect![[r#"
            7:8: link says what a file is linked with; give it beside file, in each build of any_of
        "#]],
    );
    refused(
        &of("file = \"x.wasm\"\nlink = { farrier = \"m.wasm\", \"a b\" = \"\" }"),
        expect![[r#"
            7:20: "farrier" is no link name: use 1 to 64 letters, digits, '-', '_', '.' or '/', and no name of what devices offer
            7:38: "" is no path: use 1 to 1024 bytes without control characters
            7:38: "a b" is no link name: use 1 to 64 letters, digits, '-', '_', '.' or '/', and no name of what devices offer
        "#]],
    );
    refused(
        &of("file = \"x.wasm\"\nlink = {}"),
        expect![[r#"
            7:8: these are 0 libraries; name 1 to 16
        "#]],
    );
}

#[test]
fn placement_is_of_the_application_unless_a_module_has_its_own() {
    let text = "format = 1\nname = \"a\"\ndevices = \"all\"\nplacement = { labels = { room = \
                \"hall\" }, accelerators = [\"npu:x\"] }\n[[module]]\nname = \"b\"\nversion = 1\n\
                [[module]]\nname = \"c\"\nversion = 1\nplacement = {}\n";
    let file = read(text).unwrap();
    let [b, c] = file.modules.as_slice() else { panic!("{file:?}") };
    assert_eq!(b.placement.labels["room"], "hall");
    assert_eq!(b.placement.accelerators[0].value, "npu:x");
    assert_eq!(c.placement, Placement::default());
    refused(
        "format = 1\nname = \"a\"\ndevices = \"all\"\n[placement]\nlabels = { room = \"a b\" }\n\
         accelerators = [\"x\", \"x\", \"\"]\nprefer = {}\n[[module]]\nname = \"b\"\nversion = 1\n",
        expect![[r#"
            5:19: "a b" is no label: use 1 to 64 letters, digits, '-', '_', '.', '/' or ':'
            6:22: accelerator "x" is there already, at 6:17
            6:27: "" is no accelerator: use 1 to 64 letters, digits, '-', '_', '.', '/' or ':'
            7:1: "prefer" is not supported yet: placement says what a device has to have; there are no preferences
        "#]],
    );
}

fn scheduled(module: &str) -> String {
    format!(
        "format = 1\nname = \"a\"\ndevices = \"all\"\n[[module]]\nname = \"b\"\nversion = 1\n{module}"
    )
}

#[test]
fn a_real_time_module_says_its_policy_and_its_times() {
    let file = read(&scheduled(
        "interval_ms = 5\nclass = \"real-time\"\ncpus = [1, 3]\n[module.real_time]\n\
         policy = \"fifo\"\nruntime_us = 400\ndeadline_us = 2000\npriority = 20\n",
    ))
    .unwrap();
    let words = file.modules[0].scheduling.words(5);
    assert_eq!(words, "fifo 20, 400 us by 2000 us of 5000 us, cpus 1, 3");
    let file = read(&scheduled("cpu_weight = 50\nclass = \"best-effort\"\n")).unwrap();
    assert_eq!(file.modules[0].scheduling.words(1_000), "weight 50");
    assert!(read(&scheduled("")).unwrap().modules[0].scheduling.is_usual());
}

#[test]
fn what_of_a_class_does_not_fit_together_is_told_where_it_stands() {
    refused(
        &scheduled("interval_ms = 5\n"),
        expect![[r#"
        7:15: interval_ms is 5; it has to be 10 to 3600000
    "#]],
    );
    refused(
        &scheduled("class = \"real-time\"\n[module.real_time]\npolicy = \"rr\"\nruntime_us = 5\n"),
        expect![[r#"
            9:10: there is no policy "rr"; there are "fifo" and "deadline"
        "#]],
    );
    refused(
        &scheduled("[module.real_time]\npolicy = \"fifo\"\nruntime_us = 5\n"),
        expect![[r#"
            7:1: the table real_time belongs to class = "real-time"; give that too
        "#]],
    );
    refused(
        &scheduled(
            "interval_ms = 10\nclass = \"real-time\"\n[module.real_time]\npolicy = \"deadline\"\n\
             runtime_us = 3000\ndeadline_us = 2000\nruntime = 1\n",
        ),
        expect![[r#"
            11:14: runtime_us is 3000; it has to be 2 to the deadline, 2000 us
            13:1: there is no field "runtime" here; take it out. There are policy, runtime_us, deadline_us, period_us, priority
        "#]],
    );
    refused(
        &scheduled(
            "class = \"real-time\"\ncpus = [0]\n[module.real_time]\npolicy = \"deadline\"\n\
             runtime_us = 3000\n",
        ),
        expect![[r#"
            8:8: cpus do not go with the policy deadline: Linux moves such a module between all processors to keep its deadlines. Leave them out, or take fifo
        "#]],
    );
    refused(
        &scheduled("cpu_weight = 0\ncpus = []\npriority = 5\n"),
        expect![[r#"
        7:14: cpu_weight is 0; it has to be 1 to 10000, and 100 is the usual
        8:8: the list of processors is empty; leave it out for any
        9:12: priority is among the modules of one process, and this one has its own; leave it out, or give isolation = "application" or "shared"; that of a real-time module stands in [module.real_time]
    "#]],
    );
}
