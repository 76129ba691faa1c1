//! The socket: who may ask, how often at a time, and for how long.

use crate::config::Config;
use crate::log::SignatureLog;
use crate::recompile::Recompiler;
use crate::rules::Rules;
use crate::signer::ReleaseSigner;
use anyhow::{Context, bail};
use key_file::{KeyFile, Role};
use signer_protocol::{Ask, FrameError, read_frame, write_frame};
use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Each may hold a module and its release in memory.
const CONNECTIONS_MAX: usize = 4;
/// Longest silence of a peer.
const SILENCE_MAX: Duration = Duration::from_secs(30);

pub fn serve(config: &Config, program: PathBuf) -> anyhow::Result<()> {
    let signer = Arc::new(open_signer(config, program)?);
    let own_uid = rustix::process::geteuid().as_raw();
    let allowed = config.allowed_uids.clone().unwrap_or_else(|| vec![own_uid]);
    let listener = bind(&config.socket, config.mode()?)?;
    print_ready(config, &signer)?;
    if signer.recompiler.is_none() {
        tracing::warn!(
            "recompile is off: whoever controls the gateway can have any well-formed release signed"
        );
    }
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept a connection");
                // Such as too many open files: others have to end first.
                std::thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        let Some(peer_uid) = admit(&stream, &allowed) else { continue };
        if open.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS_MAX {
            open.fetch_sub(1, Ordering::SeqCst);
            tracing::warn!("too many connections at a time");
            continue;
        }
        let (signer, open) = (signer.clone(), open.clone());
        std::thread::spawn(move || {
            talk(&stream, &signer, peer_uid);
            open.fetch_sub(1, Ordering::SeqCst);
        });
    }
    Ok(())
}

fn open_signer(config: &Config, program: PathBuf) -> anyhow::Result<ReleaseSigner> {
    let key = KeyFile::read_as(&config.key_file, Role::Release)?;
    let recompiler = config.recompile.then(|| {
        Mutex::new(Recompiler {
            program,
            wall_s: config.compile_s_max,
            memory_bytes: config.compile_memory_bytes_max,
            sandbox: config.compile_sandbox,
        })
    });
    let rules = Rules {
        targets: config.policy.targets.clone(),
        apps: config.policy.apps.clone(),
        require_metering: config.policy.require_metering,
        developers: config.developers()?,
    };
    let log = Mutex::new(SignatureLog::open(&config.log_file)?);
    Ok(ReleaseSigner { key, rules, recompiler, log })
}

/// A socket that a signer of before has left is taken; one that answers is not.
fn bind(path: &Path, mode: u32) -> anyhow::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            bail!("{} is there and no socket", path.display());
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            bail!("another signer listens on {}", path.display());
        }
        Ok(_) => std::fs::remove_file(path).context("remove the old socket")?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).context(format!("look at {}", path.display())),
    }
    // Nobody gets in between making the socket and giving it its mode.
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = listener.with_context(|| format!("listen on {}", path.display()))?;
    std::fs::set_permissions(path, Permissions::from_mode(mode)).context("open the socket")?;
    Ok(listener)
}

fn print_ready(config: &Config, signer: &ReleaseSigner) -> anyhow::Result<()> {
    let ready = serde_json::json!({
        "ready": true,
        "socket": config.socket,
        "release_key": hex::encode(signer.key.public_key().0),
        "recompile": signer.recompiler.is_some(),
        "pid": std::process::id(),
    });
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{ready}")?;
    Ok(stdout.flush()?)
}

/// The uid of the process at the other end, by the kernel's word, if it may ask.
fn admit(stream: &UnixStream, allowed: &[u32]) -> Option<u32> {
    let peer = match rustix::net::sockopt::socket_peercred(stream) {
        Ok(peer) => peer,
        Err(error) => {
            tracing::warn!(%error, "ask who connects");
            return None;
        }
    };
    let uid = peer.uid.as_raw();
    if !allowed.contains(&uid) {
        tracing::warn!(peer.uid = uid, "a process of another user was turned away");
        return None;
    }
    Some(uid)
}

fn talk(stream: &UnixStream, signer: &ReleaseSigner, peer_uid: u32) {
    let prepared = stream
        .set_read_timeout(Some(SILENCE_MAX))
        .and_then(|()| stream.set_write_timeout(Some(SILENCE_MAX)));
    if let Err(error) = prepared {
        tracing::warn!(%error, "prepare a connection");
        return;
    }
    loop {
        let ask: Ask = match read_frame(stream) {
            Ok(ask) => ask,
            Err(FrameError::Closed) => return,
            Err(error) => {
                tracing::warn!(%error, "a question cannot be read");
                return;
            }
        };
        let answer = signer.answer(ask, peer_uid);
        if let Err(error) = write_frame(stream, &answer) {
            tracing::warn!(%error, "an answer did not arrive");
            return;
        }
    }
}
