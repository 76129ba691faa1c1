//! What the `logbook` of every language does: `logbook DIRECTORY EXIT_CODE` uses each
//! capability of WASI preview 1 and says the same in each. Answers: `answers/logbook.txt`.

use std::collections::hash_map::RandomState;
use std::fs::{self, File, OpenOptions};
use std::hash::BuildHasher;
use std::io::{ErrorKind, Read, Result, Seek, SeekFrom, Write};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("arguments: {}", arguments.join(" "));
    println!("UNIT={}", std::env::var("UNIT").unwrap_or_default());
    let directory = &arguments[0];
    println!("run {}", count_run(directory)?);
    let (bytes, hash) = write_levels(directory)?;
    println!("{bytes} bytes, hash {hash:08x}");
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    println!("holds: {}", names.join(" "));
    let missing = File::open(format!("{directory}/missing")).unwrap_err();
    println!("missing: {}", if missing.kind() == ErrorKind::NotFound { "not found" } else { "?" });
    let outside = File::open(format!("{directory}/../../etc/passwd"));
    println!("outside: {}", if outside.is_err() { "refused" } else { "open" });
    let (before, after) = (Instant::now(), Instant::now());
    let day = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    println!("time: {}", if after >= before && day > 1_600_000_000 { "goes on" } else { "?" });
    // The only random bytes of the standard library are the keys of its maps.
    let is_random = RandomState::new().hash_one(0) != RandomState::new().hash_one(0);
    println!("random: {}", if is_random { "yes" } else { "no" });
    eprintln!("logbook: done");
    std::process::exit(arguments[1].parse().unwrap());
}

/// Kept in a file that is replaced as a whole.
fn count_run(directory: &str) -> Result<u32> {
    let (path, new) = (format!("{directory}/runs.txt"), format!("{directory}/runs.new"));
    let before = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => "0".to_owned(),
        text => text?,
    };
    let run = before.trim().parse::<u32>().unwrap() + 1;
    fs::write(&new, format!("{run}\n"))?;
    fs::rename(&new, &path)?;
    Ok(run)
}

/// Writes, seeks back and overwrites, appends, and reads all of it again.
fn write_levels(directory: &str) -> Result<(usize, u32)> {
    fs::create_dir_all(format!("{directory}/day"))?;
    let path = format!("{directory}/day/levels.txt");
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    for level in 0..100 {
        file.write_all(format!("{}\n", level * level).as_bytes())?;
    }
    file.seek(SeekFrom::Start(2))?;
    file.write_all(b"one")?;
    file.seek(SeekFrom::End(0))?;
    file.write_all(b"end\n")?;
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let fnv = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    Ok((bytes.len(), bytes.iter().fold(0x811c_9dc5, fnv)))
}
