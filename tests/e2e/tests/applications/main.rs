//! Application files on real processes: applied, changed, refused, accepted, removed.

mod classes;
mod together;

use anyhow::{Context, bail, ensure};
use gateway_api::{
    AppStatus, Application, ApplicationPlan, NewApplication, PlanAction, ProblemCode,
};
use gateway_client::{LogQuery, PublishedQuery};
use guest_toolchains::Toolchains;
use harness::{AgentOptions, DeviceClass, Fleet, Kit, wait_for};
use module_package::ModuleId;
use std::path::{Path, PathBuf};
use std::time::Duration;

const DEVICE: &str = "demo-x86-64";
const GUIDE: &str = include_str!("../../../../docs/application-file.md");

/// The first file of the guide, which this test carries out.
fn example() -> String {
    let begin = GUIDE.find("```toml\n").expect("the guide has an example") + "```toml\n".len();
    let end = begin + GUIDE[begin..].find("```").expect("the example ends");
    GUIDE[begin..end].to_owned()
}

/// A folder with the Wasm files that the example names.
fn folder(kit: &Kit, data: &Path) -> anyhow::Result<PathBuf> {
    let folder = data.join("climate");
    std::fs::create_dir_all(&folder)?;
    for name in ["sensor-filter.wasm", "xxhash.wasm"] {
        std::fs::copy(kit.module(name), folder.join(name))?;
    }
    Ok(folder)
}

struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn ok(self) -> anyhow::Result<Self> {
        ensure!(self.code == 0, "ended with {}:\n{}", self.code, self.stderr);
        Ok(self)
    }
}

fn farrier(fleet: &mut Fleet, arguments: &[&str]) -> anyhow::Result<Ran> {
    let output = fleet.farrier().args(arguments).output()?;
    Ok(Ran {
        code: output.status.code().context("ended by a signal")?,
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guides_file_is_applied_changed_refused_for_more_accepted_and_removed()
-> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let kit = Kit::for_tests()?;
    let folder = folder(&kit, data.path())?;
    let mut fleet = Fleet::start(kit, data.path())?;
    fleet.add_device(DeviceClass::X86_64).await?;
    let path = folder.join("climate.toml");
    let file = path.to_str().context("a path of text")?.to_owned();
    std::fs::write(&path, example())?;

    // Looking changes nothing and uploads nothing.
    let looked = farrier(&mut fleet, &["app", "diff", &file, "-o", "json"])?.ok()?;
    let plan: ApplicationPlan = serde_json::from_str(&looked.stdout)?;
    ensure!((plan.from_version, plan.to_version) == (0, 1), "{plan:?}");
    ensure!(plan.missing == ["sensor-filter.wasm", "xxhash.wasm"], "{plan:?}");
    ensure!(fleet.client().modules().await?.items.is_empty());

    let wait = ["app", "apply", &file, "--wait", "--timeout", "240", "-o", "json"];
    let applied = farrier(&mut fleet, &wait)?.ok()?;
    let application: Application = serde_json::from_str(&applied.stdout)?;
    ensure!((application.name.as_str(), application.version) == ("climate", 1));
    fleet.wait_running(DEVICE, "sensor-filter", 1).await?;
    fleet.wait_running(DEVICE, "xxhash", 1).await?;
    let answers = |app: &AppStatus| app.checks_passed > 0 && app.checks_failed == 0;
    fleet.wait_app("its known answers", DEVICE, "xxhash", answers).await?;
    let ticking = |app: &AppStatus| app.calls > 0 && app.published > 0;
    let first = fleet.wait_app("averages", DEVICE, "sensor-filter", ticking).await?;

    // The same again is no change, and nothing is started again.
    let again = farrier(&mut fleet, &wait)?.ok()?;
    ensure!(again.stderr.contains("climate version 1 stays as it is"), "{}", again.stderr);
    ensure!(serde_json::from_str::<Application>(&again.stdout)?.version == 1);

    // More is refused with the difference, until somebody says yes.
    let more = example().replace("call_ms_max = 100", "call_ms_max = 200");
    ensure!(more != example(), "the example has a limit to raise");
    std::fs::write(&path, &more)?;
    let refused = farrier(&mut fleet, &["app", "apply", &file, "--yes"])?;
    ensure!(refused.code == 6, "ended with {}: {}", refused.code, refused.stderr);
    ensure!(refused.stderr.contains("!   call_ms_max: 100 -> 200"), "{}", refused.stderr);
    ensure!(refused.stderr.contains("--accept-more"), "{}", refused.stderr);
    ensure!(farrier(&mut fleet, &["app", "diff", &file])?.code == 6);
    ensure!(fleet.client().application("climate").await?.version == 1);
    let accept = [&wait[..], &["--accept-more"]].concat();
    let accepted = farrier(&mut fleet, &accept)?.ok()?;
    ensure!(serde_json::from_str::<Application>(&accepted.stdout)?.version == 2);
    let status = fleet.status(DEVICE, "sensor-filter").await?;
    ensure!(status.traps == 0 && status.report_boot_id == first.report_boot_id, "{status:?}");

    // A module that has left the file leaves the device, and its neighbour goes on.
    let xxhash = more.find("[[module]]\nname = \"xxhash\"").context("the second module")?;
    std::fs::write(&path, &more[..xxhash])?;
    let fewer = farrier(&mut fleet, &wait)?.ok()?;
    ensure!(fewer.stderr.contains("remove xxhash"), "{}", fewer.stderr);
    runs_only(&fleet, &["sensor-filter"]).await?;
    ensure!(farrier(&mut fleet, &["app", "ls", "-o", "name"])?.ok()?.stdout == "climate\n");
    let text = farrier(&mut fleet, &["app", "show", "climate", "--file"])?.ok()?.stdout;
    ensure!(text == more[..xxhash], "the file that was applied last: {text}");
    let shown = farrier(&mut fleet, &["app", "show", "climate"])?.ok()?.stdout;
    ensure!(shown.contains("sensor-filter@1") && shown.contains("running"), "{shown}");

    farrier(&mut fleet, &["app", "remove", "climate"])?.ok()?;
    runs_only(&fleet, &[]).await?;
    ensure!(farrier(&mut fleet, &["app", "show", "climate"])?.code == 3);
    Ok(())
}

async fn runs_only(fleet: &Fleet, apps: &[&str]) -> anyhow::Result<()> {
    let client = fleet.client().clone();
    wait_for("what runs", Duration::from_secs(90), async || {
        let running: Vec<String> = client.ps().await?.items.into_iter().map(|s| s.app).collect();
        Ok(if running == apps { Ok(()) } else { Err(format!("{running:?}")) })
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_file_is_refused_by_line_and_column() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let kit = Kit::for_tests()?;
    let folder = folder(&kit, data.path())?;
    let mut fleet = Fleet::start(kit, data.path())?;
    let path = folder.join("climate.toml");
    let file = path.to_str().context("a path of text")?.to_owned();
    let bad = "format = 1\nname = \"climate\"\ndevices = \"all\"\n\n[[module]]\n\
               name = \"xxhash\"\nfile = \"xxhash.wasm\"\ncolour = \"red\"\nclass = \"hard\"\n";
    std::fs::write(&path, bad)?;
    for arguments in [&["app", "validate", &file][..], &["app", "apply", &file]] {
        let ran = farrier(&mut fleet, arguments)?;
        ensure!(ran.code == 1, "{arguments:?} ended with {}", ran.code);
        ensure!(ran.stderr.contains(&format!("{file}:8:1: there is no field \"colour\"")));
        ensure!(ran.stderr.contains(&format!("{file}:9:9: there is no class")));
    }
    let json = farrier(&mut fleet, &["app", "validate", &file, "-o", "json"])?;
    let verdict: serde_json::Value = serde_json::from_str(&json.stdout)?;
    ensure!(json.code == 1 && verdict["errors"][0]["line"] == 8, "{verdict}");
    // Whoever sends it without the command line is told the same.
    let new = NewApplication { file: bad.to_owned(), ..NewApplication::default() };
    let error = fleet.client().apply_application(&new).await.expect_err("it is wrong");
    let problem = error.problem().context("a refusal with its reason")?;
    ensure!((problem.status, problem.code) == (422, ProblemCode::InvalidApplication));
    let places: Vec<_> = problem.errors.iter().map(|e| (e.line, e.column)).collect();
    ensure!(places == [(8, 1), (9, 9)], "{problem:?}");
    ensure!(fleet.client().applications().await?.items.is_empty());

    // What only the gateway knows has its place, too.
    let stranger = bad.replace("colour = \"red\"\nclass = \"hard\"\n", "devices = [\"attic\"]\n");
    std::fs::write(&path, stranger)?;
    farrier(&mut fleet, &["app", "validate", &file])?.ok()?;
    let ran = farrier(&mut fleet, &["app", "apply", &file])?;
    ensure!(ran.code == 1 && ran.stderr.contains(&format!("{file}:8:12: ")), "{}", ran.stderr);
    ensure!(ran.stderr.contains("attic"), "{}", ran.stderr);
    // The schema is one, and knows the file's fields.
    let schema = farrier(&mut fleet, &["app", "schema"])?.ok()?;
    let schema: serde_json::Value = serde_json::from_str(&schema.stdout)?;
    ensure!(schema["properties"]["module"]["items"].is_object(), "{schema}");
    Ok(())
}

/// Two builds of one module: with vectors, which RISC-V does not have here, and without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_device_gets_the_first_build_that_its_target_can_run() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let mut fleet = Fleet::start(Kit::for_tests()?, data.path())?;
    for class in [DeviceClass::X86_64, DeviceClass::RISCV64] {
        fleet.start_device(class).await?;
    }
    for class in [DeviceClass::X86_64, DeviceClass::RISCV64] {
        fleet.wait_online(&class.device_name()).await?;
    }
    let module = |body: &str| {
        wat::parse_str(format!("(module (func (export \"tick\") (result i32) {body}))"))
    };
    let simd = module("(i32x4.extract_lane 0 (i32x4.splat (i32.const 0)))")?;
    let scalar = module("(i32.const 0)")?;
    std::fs::write(data.path().join("simd.wasm"), &simd)?;
    std::fs::write(data.path().join("scalar.wasm"), &scalar)?;
    let path = data.path().join("image.toml");
    let text = "format = 1\nname = \"image\"\ndevices = \"all\"\n[[module]]\nname = \"threshold\"\n\
                health_window_ms = 2000\nany_of = [{ file = \"simd.wasm\" }, { file = \"scalar.wasm\" }]\n";
    std::fs::write(&path, text)?;
    let file = path.to_str().context("a path of text")?.to_owned();
    let ran = farrier(&mut fleet, &["app", "apply", &file, "--wait", "--timeout", "240"])?.ok()?;
    ensure!(ran.stderr.contains("threshold@2 on riscv64-linux"), "{}", ran.stderr);
    ensure!(ran.stderr.contains("not threshold@1: "), "{}", ran.stderr);
    for (class, bytes) in [(DeviceClass::X86_64, &simd), (DeviceClass::RISCV64, &scalar)] {
        let status = fleet.status(&class.device_name(), "threshold").await?;
        let expected = ModuleId::of(bytes).to_string();
        ensure!(status.module.as_deref() == Some(expected.as_str()), "{class:?}: {status:?}");
    }
    Ok(())
}

/// One module publishes, the other hears it on the same device and passes it on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn modules_of_one_file_are_connected_by_the_name_of_a_channel() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let mut fleet = Fleet::start(Kit::for_tests()?, data.path())?;
    fleet.add_device(DeviceClass::X86_64).await?;
    let module = |body: &str| {
        wat::parse_str(format!(
            "(module
               (import \"farrier\" \"publish\" (func $publish (param i32 i32 i32 i32) (result i32)))
               (import \"farrier\" \"receive\" (func $receive (param i32 i32 i32 i32) (result i32)))
               (memory (export \"memory\") 1)
               (data (i32.const 0) \"speedheard\")
               (func (export \"tick\") (result i32) {body} (i32.const 0)))"
        ))
    };
    // Text at 0 and 5; what was received goes to 64.
    let says = "(drop (call $publish (i32.const 0) (i32.const 5) (i32.const 0) (i32.const 5)))";
    let hears = "(if (i32.gt_s (call $receive (i32.const 0) (i32.const 5) (i32.const 64) (i32.const 16)) \
                 (i32.const 0)) (then (drop (call $publish (i32.const 5) (i32.const 5) (i32.const 64) \
                 (i32.const 5)))))";
    std::fs::write(data.path().join("talker.wasm"), module(says)?)?;
    std::fs::write(data.path().join("listener.wasm"), module(hears)?)?;
    let path = data.path().join("speech.toml");
    let file = path.to_str().context("a path of text")?.to_owned();
    let text = "format = 1\nname = \"speech\"\ndevices = \"all\"\n\
                [[module]]\nname = \"talker\"\nfile = \"talker.wasm\"\nhealth_window_ms = 2000\n\
                channel = [{ name = \"speed\", direction = \"publish\" }]\n\
                [[module]]\nname = \"listener\"\nfile = \"listener.wasm\"\nhealth_window_ms = 2000\n\
                [[module.channel]]\nname = \"speed\"\ndirection = \"subscribe\"\n\
                [[module.channel]]\nname = \"heard\"\ndirection = \"publish\"\n";
    // A slip in the name is found before anything is deployed.
    std::fs::write(&path, text.replacen("\"speed\"", "\"sped\"", 1))?;
    let ran = farrier(&mut fleet, &["app", "apply", &file])?;
    ensure!(ran.code == 1 && ran.stderr.contains(&format!("{file}:14:8: ")), "{}", ran.stderr);
    ensure!(ran.stderr.contains("did you mean \"sped\"?"), "{}", ran.stderr);
    ensure!(fleet.client().deployments().await?.items.is_empty());

    std::fs::write(&path, text)?;
    farrier(&mut fleet, &["app", "apply", &file, "--wait", "--timeout", "240"])?.ok()?;
    let client = fleet.client().clone();
    wait_for("a message heard", Duration::from_secs(90), async || {
        let query = PublishedQuery { channel: Some("heard".into()), ..PublishedQuery::default() };
        let heard = client.published(&query).await?.items;
        let spoken = hex::encode("speed");
        Ok(
            match heard.iter().any(|message| message.app == "listener" && message.payload == spoken)
            {
                true => Ok(()),
                false => Err(format!("{heard:?}")),
            },
        )
    })
    .await
}

/// The program of `tests/programs` that uses every capability, built by Rust. How it runs
/// elsewhere is seen there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_finds_its_files_again_after_a_restart_and_after_a_new_version()
-> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let tools = Toolchains::new(workspace.join("target/programs"));
    let program = workspace.join("tests/programs/sources/logbook");
    let program = tools.rust(&program, "wasm32-wasip1", &[])?;
    std::fs::copy(program, data.path().join("logbook.wasm"))?;
    let mut fleet = Fleet::start(Kit::for_tests()?, data.path())?;
    let options = fleet.agent_options(DeviceClass::X86_64, DEVICE).await?;
    fleet.start_device_with(AgentOptions { clock_trusted: true, ..options })?;
    fleet.wait_online(DEVICE).await?;
    let path = data.path().join("journal.toml");
    let file = path.to_str().context("a path of text")?.to_owned();
    let text = r#"
format = 1
name = "journal"
devices = "all"

[[module]]
name = "logbook"
file = "logbook.wasm"
health_window_ms = 2_000

[module.wasi]
arguments = ["/data", "0"]
environment = { UNIT = "mm" }
stdout = "log"
clock = true
random = true
restart = "never"
directories = [{ guest = "/data", private_bytes = 65_536 }]
"#;
    // What it may reach has to be said, and what it needs is shown.
    std::fs::write(&path, text.replace("random = true\n", ""))?;
    let silent = farrier(&mut fleet, &["app", "apply", &file])?;
    ensure!(silent.code == 1 && silent.stderr.contains("random_get"), "{}", silent.stderr);
    std::fs::write(&path, text)?;
    farrier(&mut fleet, &["app", "apply", &file, "--wait", "--timeout", "240"])?.ok()?;
    let is_ended =
        |app: &AppStatus| app.program.is_some_and(|p| p.is_finished && p.exit_code == Some(0));
    let ended = fleet.wait_app("the program's end", DEVICE, "logbook", is_ended).await?;
    ensure!(ended.state == "finished", "{ended:?}");
    let answers = std::fs::read_to_string(workspace.join("tests/programs/answers/logbook.txt"))?;
    wait_logged(&mut fleet, &answers.replace("/data 3", "/data 0")).await?;
    let checked = farrier(&mut fleet, &["module", "check", "logbook"])?.ok()?.stdout;
    let needs = "arguments, environment, stdout, clock, random, directories\n";
    ensure!(checked.contains(needs), "{checked}");

    fleet.restart_agent(DEVICE)?;
    wait_logged(&mut fleet, "run 2\n").await?;
    // Another version finds them, too. It says by its exit code that all is not well, so the
    // one before comes back.
    std::fs::write(&path, text.replace("\"0\"", "\"4\""))?;
    farrier(&mut fleet, &["app", "apply", &file])?.ok()?;
    wait_logged(&mut fleet, "arguments: /data 4\nUNIT=mm\nrun 3\n").await?;
    let went_back = |app: &AppStatus| app.detail.starts_with("it ended with exit code 4");
    fleet.wait_app("the version before", DEVICE, "logbook", went_back).await?;
    wait_logged(&mut fleet, "arguments: /data 0\nUNIT=mm\nrun 4\n").await
}

/// These lines, one after the other; those of other runs may be around them.
async fn wait_logged(fleet: &mut Fleet, lines: &str) -> anyhow::Result<()> {
    let client = fleet.client().clone();
    let waited = wait_for("its log", Duration::from_secs(120), async || {
        let query = LogQuery { app: Some("logbook".into()), ..LogQuery::default() };
        let logged: String =
            client.logs(&query).await?.items.into_iter().map(|line| line.text + "\n").collect();
        Ok(if logged.contains(lines) { Ok(()) } else { Err(logged) })
    });
    waited.await.with_context(|| fleet.logs())
}

/// Both modules of a version change together. Whenever the gateway is killed, what is
/// there afterwards is the version before or the new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_killed_while_it_applies_has_all_of_it_or_nothing() -> anyhow::Result<()>
{
    let data = tempfile::tempdir()?;
    let mut fleet = Fleet::start(Kit::for_tests()?, data.path())?;
    for name in ["sensor-filter", "xxhash"] {
        fleet.push(name, &format!("{name}.wasm")).await?;
    }
    let version = |interval_ms: u32| {
        let module = |name: &str| {
            format!("[[module]]\nname = \"{name}\"\nversion = 1\ninterval_ms = {interval_ms}\n")
        };
        let (one, two) = (module("sensor-filter"), module("xxhash"));
        let file = format!("format = 1\nname = \"climate\"\ndevices = \"all\"\n{one}{two}");
        NewApplication { file, accept_more: true, ..NewApplication::default() }
    };
    fleet.client().apply_application(&version(1_000)).await?;
    let (mut present, mut kept, mut lost) = (1_000, 0, 0);
    for round in 1..=24_i32 {
        let asked = 1_000 + round.unsigned_abs();
        let client = fleet.client().clone();
        let new = version(asked);
        let request = tokio::spawn(async move { client.apply_application(&new).await });
        // From 0.3 ms, before the request arrives, to 0.6 s, long after it was answered.
        let kill_after = Duration::from_micros(200).mul_f64(1.4_f64.powi(round));
        tokio::time::sleep(kill_after).await;
        fleet.gateway().process().kill()?;
        request.abort();
        let answered = matches!(request.await, Ok(Ok(_)));
        fleet.restart_gateway()?;
        let application = fleet.client().application("climate").await?;
        let intervals: Vec<u32> =
            application.modules.iter().map(|m| m.deployment.interval_ms).collect();
        ensure!(intervals == [present; 2] || intervals == [asked; 2], "torn: {intervals:?}");
        ensure!(fleet.client().deployments().await?.items.len() == 2, "two, and no more");
        ensure!(!answered || intervals == [asked; 2], "what was answered is gone");
        let plan = fleet.client().plan_application(&version(intervals[0])).await?;
        ensure!(plan.modules.iter().all(|m| m.action == PlanAction::Keep), "{plan:?}");
        match intervals[0] == asked {
            true => kept += 1,
            false => lost += 1,
        }
        present = intervals[0];
    }
    println!("{kept} of 24 were kept and {lost} had not begun");
    if kept == 0 || lost == 0 {
        bail!("no kill came before, or none after the commit: {kept} kept, {lost} lost");
    }
    Ok(())
}
