//! The program itself: who is answered, what is signed, and what stands in the log.

use key_file::{KeyFile, Role};
use module_package::{
    ArtifactId, BLOCK_BYTES, BlobId, CompilePolicy, DOCUMENT_VERSION, Domain, ModuleId,
    ModuleStatement, PublicKey, Release, ReleaseLimits, ReleaseTarget, SealError, Signer, open,
};
use signer_protocol::{About, Answer, Ask, SignRequest, read_frame, write_frame};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const TARGET: &str = "x86_64-linux";

struct SignerProcess {
    child: Child,
    dir: tempfile::TempDir,
    key: PublicKey,
}

impl SignerProcess {
    /// With these further lines of configuration.
    fn start(config: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), config)
    }

    fn start_in(dir: tempfile::TempDir, config: &str) -> Self {
        let path = |name: &str| dir.path().join(name);
        let key_path = path("release.key");
        if !key_path.exists() {
            KeyFile::generate(Role::Release).unwrap().create(&key_path).unwrap();
        }
        let key = KeyFile::read(&key_path).unwrap().public_key();
        let text = format!(
            "socket = {:?}\nkey_file = {key_path:?}\nlog_file = {:?}\n{config}\n",
            path("signer.sock"),
            path("signatures.log"),
        );
        std::fs::write(path("signer.toml"), text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_farrier-signer"))
            .arg("--config")
            .arg(path("signer.toml"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value =
            serde_json::from_str(&line).expect("it says that it is ready");
        assert_eq!(ready["release_key"], hex::encode(key.0));
        Self { child, dir, key }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("signer.sock")
    }

    fn ask(&self, ask: &Ask) -> Answer {
        let stream = UnixStream::connect(self.socket()).unwrap();
        write_frame(&stream, ask).unwrap();
        read_frame(&stream).unwrap()
    }

    fn sign(&self, release: &Release, wasm: Option<&[u8]>, statement: Option<Vec<u8>>) -> Answer {
        self.ask(&Ask::Sign(SignRequest {
            release: minicbor::to_vec(release).unwrap(),
            wasm: wasm.map(<[u8]>::to_vec),
            module_statement: statement,
        }))
    }

    fn refusal(
        &self,
        release: &Release,
        wasm: Option<&[u8]>,
        statement: Option<Vec<u8>>,
    ) -> String {
        match self.sign(release, wasm, statement) {
            Answer::Refused { detail } => detail,
            other => panic!("not refused: {other:?}"),
        }
    }

    fn log_lines(&self) -> usize {
        std::fs::read_to_string(self.dir.path().join("signatures.log")).unwrap().lines().count()
    }

    /// Ends it; the directory stays.
    fn end(mut self) -> tempfile::TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }
}

impl Drop for SignerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wasm(answer: u32) -> Vec<u8> {
    wat::parse_str(format!("(module (func (export \"answer\") (result i32) i32.const {answer}))"))
        .unwrap()
}

/// The genuine release of a module.
fn release_of(wasm: &[u8]) -> Release {
    let target = target_spec::Registry::built_in().find(TARGET).unwrap();
    let bounds_checks = target.default_bounds_checks();
    let options = aot_compiler::CompileOptions::new(bounds_checks);
    let aot = aot_compiler::compile(wasm, target, &options).unwrap().aot;
    Release {
        version: DOCUMENT_VERSION,
        app: "answer".into(),
        app_version: 1,
        module: ModuleId::of(wasm),
        artifact: ArtifactId::of(&aot),
        artifact_bytes: aot.len() as u64,
        block_bytes: BLOCK_BYTES,
        block_hashes: aot.chunks(BLOCK_BYTES as usize).map(BlobId::of).collect(),
        target: ReleaseTarget {
            id: TARGET.into(),
            abi: target.abi.clone(),
            cpu_features: target.cpu_features.clone(),
            aot_version: aot_compiler::AOT_VERSION,
            bounds_checks: bounds_checks.to_string(),
        },
        policy: CompilePolicy::default(),
        imports: vec![],
        limits: ReleaseLimits {
            memory_bytes_max: 65_536,
            stack_bytes: 65_536,
            call_ms_max: 1_000,
            log_lines_per_s_max: 10,
            publishes_per_s_max: 10,
            ..ReleaseLimits::default()
        },
        known_answers: vec![],
        compiler: aot_compiler::COMPILER_ID.into(),
        developer: None,
    }
}

fn verify_log(dir: &Path) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_farrier-signer"))
        .arg("verify-log")
        .arg(dir.join("signatures.log"))
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn a_release_is_signed_and_stands_in_the_log_that_goes_on_after_a_restart() {
    let signer = SignerProcess::start("");
    let release = release_of(&wasm(1));
    let about =
        About { version: 1, release_key: signer.key, recompile: false, requires_developer: false };
    assert_eq!(signer.ask(&Ask::About), Answer::About(about));
    let Answer::Sealed { sealed } = signer.sign(&release, None, None) else { panic!("not signed") };
    let key = signer.key;
    let payload = open(Domain::Release, &sealed, 1 << 20, |id| {
        if key.id() == *id { Ok(key) } else { Err(SealError::UnknownKey(*id)) }
    });
    assert_eq!(payload.unwrap(), minicbor::to_vec(&release).unwrap());
    let mode = std::fs::metadata(signer.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);

    // Killed, with its socket left behind.
    let dir = signer.end();
    let signer = SignerProcess::start_in(dir, "");
    assert!(matches!(signer.sign(&release, None, None), Answer::Sealed { .. }));
    assert_eq!(signer.log_lines(), 2);
    let (is_whole, said) = verify_log(signer.dir.path());
    assert!(is_whole && said.starts_with("2 entries"), "{said}");
    let log = signer.dir.path().join("signatures.log");
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, text.replacen("\"answer\"", "\"nothing\"", 1)).unwrap();
    let (is_whole, said) = verify_log(signer.dir.path());
    assert!(!is_whole && said.contains("line 1"), "{said}");
}

#[test]
fn the_strong_mode_signs_only_what_the_module_compiles_to() {
    let signer = SignerProcess::start("recompile = true\ncompile_sandbox = \"best-effort\"");
    let (module, other) = (wasm(1), wasm(2));
    let release = release_of(&module);
    let refused = signer.refusal(&release, None, None);
    assert!(refused.contains("has to come with it"), "{refused}");
    let refused = signer.refusal(&release, Some(&other), None);
    assert!(refused.contains("not the one that it names"), "{refused}");
    // Machine code of somebody's making, said to be the module's.
    let genuine = release_of(&other);
    let forged = Release {
        artifact: genuine.artifact,
        artifact_bytes: genuine.artifact_bytes,
        block_hashes: genuine.block_hashes.clone(),
        ..release.clone()
    };
    let refused = signer.refusal(&forged, Some(&module), None);
    assert!(refused.contains("an artifact that is not this module"), "{refused}");
    let blocks = Release { block_hashes: genuine.block_hashes, ..release.clone() };
    let refused = signer.refusal(&blocks, Some(&module), None);
    assert!(refused.contains("block hashes"), "{refused}");
    let elsewhere = Release { compiler: "another".into(), ..release.clone() };
    assert!(signer.refusal(&elsewhere, Some(&module), None).contains("the same version"));
    assert_eq!(signer.log_lines(), 0, "what is refused is not signed");
    assert!(matches!(signer.sign(&release, Some(&module), None), Answer::Sealed { .. }));
    assert_eq!(signer.log_lines(), 1);
}

#[test]
fn the_signers_own_policy_decides() {
    let alice = KeyFile::generate(Role::Developer).unwrap();
    let policy = format!(
        "[policy]\ntargets = [\"{TARGET}\"]\napps = [\"answer\"]\ndeveloper_keys = [\"{}\"]",
        hex::encode(alice.public_key().0)
    );
    let signer = SignerProcess::start(&policy);
    let developer = Some(alice.key.public_key().id());
    let release = Release { developer, ..release_of(&wasm(1)) };
    let statement = |name: &str| ModuleStatement::new(name, release.module).seal(&alice.key);
    let mut strange = release.clone();
    strange.target.id = "riscv64-linux".into();
    assert!(signer.refusal(&strange, None, Some(statement("answer"))).contains("target"));
    let strange = Release { app: "other".into(), ..release.clone() };
    assert!(signer.refusal(&strange, None, Some(statement("other"))).contains("application"));
    assert!(signer.refusal(&release, None, None).contains("--sign-key"));
    assert!(signer.refusal(&release, None, Some(statement("other"))).contains("signature is for"));
    let mallory = KeyFile::generate(Role::Developer).unwrap();
    let forged = ModuleStatement::new("answer", release.module).seal(&mallory.key);
    assert!(signer.refusal(&release, None, Some(forged)).contains("does not count"));
    let unnamed = Release { developer: None, ..release.clone() };
    let refused = signer.refusal(&unnamed, None, Some(statement("answer")));
    assert!(refused.contains("does not name the developer"), "{refused}");
    let signed = signer.sign(&release, None, Some(statement("answer")));
    assert!(matches!(signed, Answer::Sealed { .. }));
}

#[test]
fn a_process_of_another_user_is_turned_away() {
    let other_uid = rustix::process::geteuid().as_raw() + 1;
    let signer = SignerProcess::start(&format!("allowed_uids = [{other_uid}]"));
    let stream = UnixStream::connect(signer.socket()).unwrap();
    // The connection may be closed before or after the question is written.
    let _ = write_frame(&stream, &Ask::About);
    assert!(read_frame::<Answer>(&stream).is_err());
}

#[test]
fn malformed_questions_and_lying_lengths_end_the_connection_and_nothing_else() {
    use std::io::Write;
    let signer = SignerProcess::start("");
    for bytes in [&b"\xff\xff\xff\xff"[..], b"\x02\x00\x00\x00\xff\xff", b"\x00\x00\x00\x00"] {
        let mut stream = UnixStream::connect(signer.socket()).unwrap();
        stream.write_all(bytes).unwrap();
        assert!(read_frame::<Answer>(&stream).is_err());
    }
    let nonsense =
        Ask::Sign(SignRequest { release: vec![1, 2, 3], wasm: None, module_statement: None });
    let Answer::Refused { detail } = signer.ask(&nonsense) else { panic!("signed") };
    assert!(detail.contains("it is no release"), "{detail}");
    assert!(matches!(signer.ask(&Ask::About), Answer::About(_)));
}

#[test]
fn a_second_signer_does_not_take_the_socket_and_a_wrong_key_is_no_release_key() {
    let signer = SignerProcess::start("");
    let again = Command::new(env!("CARGO_BIN_EXE_farrier-signer"))
        .arg("--config")
        .arg(signer.dir.path().join("signer.toml"))
        .output()
        .unwrap();
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(!again.status.success() && said.contains("another signer listens"), "{said}");
    let dir = tempfile::tempdir().unwrap();
    KeyFile::generate(Role::Root).unwrap().create(&dir.path().join("k")).unwrap();
    let path = |name: &str| dir.path().join(name);
    let config = format!(
        "socket = {:?}\nkey_file = {:?}\nlog_file = {:?}\n",
        path("s"),
        path("k"),
        path("l")
    );
    std::fs::write(path("c"), config).unwrap();
    let wrong = Command::new(env!("CARGO_BIN_EXE_farrier-signer"))
        .arg("--config")
        .arg(path("c"))
        .output()
        .unwrap();
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(!wrong.status.success() && said.contains("a release key is needed"), "{said}");
}
