//! What writers of modules use: the examples under `farrier test` on every architecture,
//! and what `farrier new` makes, built and tested as its README says.

use anyhow::{Context, ensure};
use guest_toolchains::{Toolchains, firmware};
use harness::{DeviceClass, Kit};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[derive(Debug, Clone, Deserialize)]
struct CaseResult {
    file: String,
    case: String,
    passed: bool,
    failures: Vec<String>,
    gas_used: Option<u64>,
}

fn examples(kit: &Kit) -> PathBuf {
    kit.module("").with_file_name("examples")
}

/// The command on the runtime of this class.
fn farrier(kit: &Kit, class: DeviceClass) -> Command {
    let mut command = Command::new(kit.command_line());
    command.env("FARRIER_RUNTIME", kit.runtime(class));
    command.env("FARRIER_LAUNCHER", class.launcher.join(" "));
    command
}

fn results(output: &Output) -> anyhow::Result<Vec<CaseResult>> {
    serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))
}

fn test_file(kit: &Kit, name: &str) -> PathBuf {
    examples(kit).join(format!("{name}.test.toml"))
}

/// What every device can run. RISC-V has no vectors.
fn tested_on(class: DeviceClass) -> impl Iterator<Item = &'static str> {
    let is_scalar = move |name: &&str| class != DeviceClass::RISCV64 || !name.ends_with("-simd");
    firmware::TESTED.into_iter().filter(is_scalar)
}

#[test]
fn examples_give_equal_outputs_and_equal_gas_on_every_architecture() -> anyhow::Result<()> {
    let kit = Kit::for_tests()?;
    let mut first: Vec<CaseResult> = vec![];
    for class in DeviceClass::ALL {
        let files = tested_on(class).map(|name| test_file(&kit, name));
        let mut command = farrier(&kit, class);
        let output = command.args(["test", "-o", "json"]).args(files).output()?;
        let results = results(&output)?;
        for result in &results {
            ensure!(result.passed, "{}: {:?}", class.target, result.failures);
            ensure!(result.gas_used.is_some_and(|gas| gas > 0), "{}: {result:?}", class.target);
            // The files say what each case must publish; this says that nothing but the
            // count of instructions decides the gas.
            if let Some(same) =
                first.iter().find(|f| (&f.file, &f.case) == (&result.file, &result.case))
            {
                ensure!(same.gas_used == result.gas_used, "{}: {result:?}, {same:?}", class.target);
            }
        }
        ensure!(output.status.success(), "{}: {output:?}", class.target);
        let count = |name: &str| results.iter().filter(|r| r.file.contains(name)).count();
        for name in tested_on(class) {
            ensure!(count(&format!("/{name}.test.toml")) > 0, "{name} on {}", class.target);
        }
        if first.is_empty() {
            first = results;
        }
    }
    Ok(())
}

#[test]
fn vectors_are_refused_by_name_where_there_are_none_and_the_scalar_build_runs() -> anyhow::Result<()>
{
    let kit = Kit::for_tests()?;
    let run = |name: &str| {
        farrier(&kit, DeviceClass::RISCV64).arg("test").arg(test_file(&kit, name)).output()
    };
    let refused = run("threshold-simd")?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(refused.status.code() == Some(1), "{refused:?}");
    ensure!(said.contains("riscv64-linux") && said.to_lowercase().contains("simd"), "{said}");
    let scalar = run("threshold")?;
    ensure!(scalar.status.success(), "{scalar:?}");
    Ok(())
}

#[test]
fn a_wrong_expectation_fails_and_is_shown_as_it_was_written() -> anyhow::Result<()> {
    let kit = Kit::for_tests()?;
    let folder = tempfile::tempdir()?;
    let good = std::fs::read_to_string(test_file(&kit, "debounce"))?;
    std::fs::copy(examples(&kit).join("debounce.wasm"), folder.path().join("debounce.wasm"))?;
    let changes = [
        (r#"expect.pressed = ["u8:1"]"#, r#"expect.pressed = ["u8:7"]"#, "u8:1, expected u8:7"),
        (r#"["u8:1", "u8:0"]"#, r#"["u8:1"]"#, "message 2: u8:0, and no more were expected"),
        (r#"["u8:1", "u8:0"]"#, r#"["u8:1", "u8:0", "u8:1"]"#, "2 messages, expected 3"),
        ("error_returns = 2", "error_returns = 1", "2 calls returned something other than 0"),
        (r#""init returned 1""#, r#""init returned 9""#, "log line 2: \"init returned 1\""),
        ("ticks = 9", "ticks = 9\ngas = 1", "gas, expected 1"),
        ("ticks = 9", "ticks = 9\ntrap = \"unreachable\"", "it did not trap"),
    ];
    for (from, to, says) in changes {
        let changed = good.replacen(from, to, 1);
        ensure!(changed != good, "{from} is not in the example");
        std::fs::write(folder.path().join("debounce.test.toml"), changed)?;
        let mut command = farrier(&kit, DeviceClass::X86_64);
        let output = command.arg("test").current_dir(folder.path()).output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.code() == Some(1), "{to}: {output:?}");
        ensure!(said.contains("FAILED") && said.contains(says), "{to}: {said}");
        ensure!(said.contains("3 passed, 1 failed"), "{to}: {said}");
    }
    Ok(())
}

#[test]
fn what_a_module_does_wrong_ends_its_test_with_the_reason() -> anyhow::Result<()> {
    let kit = Kit::for_tests()?;
    let folder = tempfile::tempdir()?;
    let module = r#"(module (func (export "tick") (result i32) BODY))"#;
    let file = "format = 1\nmodule = \"m.wat\"\n[[case]]\nname = \"c\"\nticks = 3\n";
    for (body, more, status, says) in [
        ("(loop (br 0)) (i32.const 0)", "", 1, "ran longer than its time"),
        ("(unreachable)", "", 1, "it trapped in tick: unreachable"),
        ("(unreachable)", "trap = \"unreachable\"\n", 0, "1 passed, 0 failed"),
        (
            "(i32.const 7)",
            "error_returns = 3\nlog = [\"tick returned 7\", \"tick returned 7\", \"tick returned 7\"]\n",
            0,
            "1 passed",
        ),
        ("(i32.const)", "", 1, "m.wat:1:54"),
    ] {
        std::fs::write(folder.path().join("m.wat"), module.replace("BODY", body))?;
        std::fs::write(folder.path().join("m.test.toml"), format!("{file}{more}"))?;
        let mut command = farrier(&kit, DeviceClass::X86_64);
        command.args(["test", "--call-ms-max", "300"]).current_dir(folder.path());
        let output = command.output()?;
        let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        ensure!(output.status.code() == Some(status), "{body}: {output:?}");
        ensure!(said.contains(says), "{body}: {said}");
    }
    Ok(())
}

/// Doubles what it receives: sets the actuator to it and stores it.
const DOUBLER: &str = r#"(module
  (import "farrier" "receive" (func $receive (param i32 i32 i32 i32) (result i32)))
  (import "farrier" "actuator_set" (func $set (param i32 i32 i32) (result i32)))
  (import "farrier" "kv_set" (func $keep (param i32 i32 i32 i32) (result i32)))
  (import "farrier" "config_get" (func $config (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "level")
  (data (i32.const 8) "valve")
  (func (export "tick") (result i32)
    (if (i32.lt_s (call $receive (i32.const 0) (i32.const 5) (i32.const 64) (i32.const 8)) (i32.const 0))
      (then (return (i32.const 0))))
    (f64.store (i32.const 64) (f64.mul (f64.load (i32.const 64)) (f64.const 2)))
    (if (call $keep (i32.const 0) (i32.const 5) (i32.const 64) (i32.const 8)) (then (return (i32.const 3))))
    (if (i32.ne (call $config (i32.const 8) (i32.const 5) (i32.const 96) (i32.const 8)) (i32.const 4))
      (then (return (i32.const 4))))
    (call $set (i32.const 8) (i32.const 5) (i32.const 64))))"#;

#[test]
fn messages_reach_a_module_and_its_actuators_are_seen() -> anyhow::Result<()> {
    let kit = Kit::for_tests()?;
    let folder = tempfile::tempdir()?;
    let file = "format = 1
module = \"doubler.wat\"
[[case]]
name = \"doubles\"
ticks = 2000
storage_bytes = 1024
config.valve = \"slow\"
actuators.valve = [3, 20, -1]
input = [
    { before_tick = 1, channel = \"level\", payload = \"f64:1.5\" },
    { before_tick = 1500, channel = \"level\", payload = \"f64:10\" },
    { before_tick = 1500, channel = \"level\", payload = \"f64:-0.5\" },
]
";
    std::fs::write(folder.path().join("doubler.wat"), DOUBLER)?;
    std::fs::write(folder.path().join("doubler.test.toml"), file)?;
    let mut command = farrier(&kit, DeviceClass::X86_64);
    let output = command.arg("test").current_dir(folder.path()).output()?;
    ensure!(output.status.success(), "{output:?}");

    let mut command = farrier(&kit, DeviceClass::X86_64);
    command.args(["run", "doubler.wat", "--subscribe", "level", "--actuator", "valve"]);
    command.args(["--config", "valve=fast", "--storage", "1KiB", "--ticks", "3"]);
    let run = command.current_dir(folder.path());
    let output = output_with(run, "level f64:4\nlevel f64:5\n")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{output:?}");
    ensure!(said.contains("valve is set to 8") && said.contains("valve is set to 10"), "{said}");
    let refused = output_with(run, "level f64:4\nvalve f64:5\n")?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(said.contains("stdin, line 2") && said.contains("\"valve\""), "{said}");
    Ok(())
}

fn output_with(command: &mut Command, stdin: &str) -> anyhow::Result<Output> {
    use std::io::Write;
    use std::process::Stdio;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    child.stdin.take().context("its stdin")?.write_all(stdin.as_bytes())?;
    Ok(child.wait_with_output()?)
}

#[test]
fn a_run_tells_what_happens_as_text_and_as_json_lines() -> anyhow::Result<()> {
    let kit = Kit::for_tests()?;
    let filter = kit.module("sensor-filter.wasm");
    let mut command = farrier(&kit, DeviceClass::X86_64);
    command.arg("run").arg(&filter).args(["--sensor", "temperature=21.5"]);
    command.args(["--channel", "average", "--ticks", "250"]);
    let text = command.output()?;
    let (stdout, stderr) =
        (String::from_utf8_lossy(&text.stdout), String::from_utf8_lossy(&text.stderr));
    ensure!(text.status.success() && stdout.lines().count() == 250, "{text:?}");
    ensure!(stdout.starts_with("average #1: 0x0100000000000000"), "{stdout}");
    ensure!(stderr.contains("info: averaging the last 8 samples"), "{stderr}");
    ensure!(stderr.contains("251 calls, 0 traps, ") && stderr.contains(" gas"), "{stderr}");

    let json = command.args(["-o", "json"]).output()?;
    let lines: Vec<serde_json::Value> = String::from_utf8(json.stdout.clone())?
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .with_context(|| format!("{json:?}"))?;
    let of = |kind: &str| lines.iter().filter(|line| line["event"] == kind).count();
    ensure!((of("published"), of("log"), of("usage")) == (250, 1, 1), "{json:?}");
    ensure!(json.stderr.is_empty() && json.status.success(), "{json:?}");

    // What was recorded is input again: its averages are 16 bytes, which are no number.
    let folder = tempfile::tempdir()?;
    let recording = folder.path().join("recording.jsonl");
    std::fs::write(&recording, &json.stdout)?;
    let mut again = farrier(&kit, DeviceClass::X86_64);
    again.arg("run").arg(&filter).arg("--sensor");
    let refused = again.arg(format!("temperature=file:{}", recording.display())).output()?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(said.contains("line 2") && said.contains("neither eight bytes"), "{said}");
    Ok(())
}

/// Writes and ends as asked; starts with more memory than is usual.
const PROGRAM: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 300)
  (data (i32.const 8) "\10\00\00\00\06\00\00\00hello\n")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0)))
    END))"#;

#[test]
fn a_program_ends_as_it_does_and_what_is_amiss_is_said() -> anyhow::Result<()> {
    let kit = Kit::for_tests()?;
    let folder = tempfile::tempdir()?;
    let run = |end: &str, arguments: &[&str]| {
        std::fs::write(folder.path().join("p.wat"), PROGRAM.replace("END", end))?;
        let mut command = farrier(&kit, DeviceClass::X86_64);
        command.current_dir(folder.path()).args(["run", "p.wat"]).args(arguments).output()
    };
    let (exit, spin) = ("(call $exit (i32.const 7))", "(loop (br 0))");
    let json = run(exit, &["-o", "json"])?;
    let lines = String::from_utf8(json.stdout.clone())?;
    let lines: Vec<serde_json::Value> =
        lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let [wrote, finished, usage] = lines.as_slice() else { anyhow::bail!("{json:?}") };
    ensure!(wrote["stream"] == "stdout" && wrote["text"] == "hello\n", "{wrote}");
    ensure!(finished["event"] == "finished" && finished["exit_code"] == 7, "{finished}");
    ensure!(usage["event"] == "usage" && usage["gas_used"].as_u64() > Some(0), "{usage}");
    for (end, arguments, code, says) in [
        (exit, &[][..], 7, ""),
        ("(unreachable)", &[], 1, "it trapped: unreachable"),
        (spin, &["--call-ms-max", "300"], 124, "ran longer than its 300 ms"),
        (spin, &["--gas-per-call", "50000"], 1, "out of gas"),
        (exit, &["--ticks", "3"], 2, "leaving out --ticks"),
        (exit, &["--env", "A=1", "--", "x"], 7, "arguments in vain: the module imports"),
        (exit, &["--memory-bytes-max", "16MiB"], 1, "--memory-bytes-max with more"),
    ] {
        let output = run(end, arguments)?;
        ensure!(output.status.code() == Some(code), "{arguments:?}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(said.contains(says), "{arguments:?}: {said}");
        let is_run = code != 2 && !says.contains("with more");
        ensure!(output.stdout == if is_run { &b"hello\n"[..] } else { b"" }, "{output:?}");
    }
    Ok(())
}

#[test]
fn what_is_not_granted_or_not_there_is_said() -> anyhow::Result<()> {
    let kit = Kit::for_tests()?;
    let filter = kit.module("sensor-filter.wasm");
    let denied = farrier(&kit, DeviceClass::X86_64)
        .arg("run")
        .arg(&filter)
        .args(["--ticks", "1"])
        .output()?;
    let said = String::from_utf8_lossy(&denied.stderr).into_owned();
    ensure!(said.contains("open temperature: Denied"), "{said}");

    for (arguments, says) in [
        (vec!["run", "/nowhere.wasm"], "read /nowhere.wasm"),
        (vec!["test", "/nowhere.test.toml"], "/nowhere.test.toml"),
        (vec!["run", "x.wasm", "--runtime", "/nowhere"], "/nowhere is no file"),
        (vec!["run", "x.wasm", "--sensor", "a=b"], "sim:SEED"),
    ] {
        // The module is read first, so there has to be one.
        let folder = tempfile::tempdir()?;
        std::fs::copy(&filter, folder.path().join("x.wasm"))?;
        let mut command = farrier(&kit, DeviceClass::X86_64);
        let output = command.current_dir(folder.path()).args(&arguments).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success() && said.contains(says), "{arguments:?}: {said}");
    }
    Ok(())
}

#[test]
fn what_farrier_new_makes_builds_and_passes_its_test() -> anyhow::Result<()> {
    let kit = Kit::for_tests()?;
    let folder = tempfile::tempdir()?;
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let tools = Toolchains::new(workspace.join("target/programs"));
    for lang in ["rust", "c", "zig", "assemblyscript", "wat"] {
        let mut command = farrier(&kit, DeviceClass::X86_64);
        command.current_dir(folder.path()).args(["new", "--lang", lang]);
        let name = format!("my-{lang}");
        let output = command.arg(&name).output()?;
        ensure!(output.status.success(), "{output:?}");
        let made = folder.path().join(&name);
        build(lang, &made, &tools, &workspace).with_context(|| format!("build {lang}"))?;
        let tested = farrier(&kit, DeviceClass::X86_64).current_dir(&made).arg("test").output()?;
        let said = String::from_utf8_lossy(&tested.stdout).into_owned();
        ensure!(tested.status.success() && said.contains("1 passed, 0 failed"), "{tested:?}");
        let readme = std::fs::read_to_string(made.join("README.md"))?;
        ensure!(!readme.contains("__"), "{readme}");
        // A second time nothing is overwritten.
        let again = command.output()?;
        let said = String::from_utf8_lossy(&again.stderr).into_owned();
        ensure!(!again.status.success() && said.contains("is not empty"), "{again:?}");
    }
    Ok(())
}

/// As the README says, with the compilers of the tests.
fn build(lang: &str, folder: &Path, tools: &Toolchains, workspace: &Path) -> anyhow::Result<()> {
    let mut command = match lang {
        "rust" => {
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
            cargo.args(["build", "--release"]).env_remove("CARGO_TARGET_DIR");
            cargo
        }
        "c" | "zig" => {
            let zig = tools.zig_program()?.display().to_string();
            let mut make = Command::new("make");
            make.arg(format!("CC={zig} cc -target wasm32-freestanding")).arg(format!("ZIG={zig}"));
            make.env("ZIG_GLOBAL_CACHE_DIR", workspace.join("target/programs/zig"));
            make
        }
        "assemblyscript" => {
            let package: serde_json::Value =
                serde_json::from_slice(&std::fs::read(folder.join("package.json"))?)?;
            let script = package["scripts"]["build"].as_str().context("a build script")?;
            let words = script.strip_prefix("asc ").context("it calls asc")?.split_whitespace();
            let asc = tools.asc(&workspace.join("firmware-examples/anomaly"))?;
            let mut node = Command::new("node");
            node.arg(asc).args(words);
            node
        }
        _ => return Ok(()),
    };
    let output = command.current_dir(folder).output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(())
}
