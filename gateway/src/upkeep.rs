//! `farrier-gateway backup`, `restore` and `verify`: what is done with a data
//! directory from outside a running gateway.

use anyhow::{Context, bail};
use farrier_gateway::config::Config;
use farrier_gateway::store::backup::{
    BackupSummary, make_backup, restore_backup, verify_backup as check_backup, verify_blobs,
    verify_data_dir,
};
use farrier_gateway::surroundings::Surroundings;
use std::path::Path;

fn data_dir_of(config: &Path) -> anyhow::Result<std::path::PathBuf> {
    Ok(Config::read(config)?.data_dir)
}

fn now_ms() -> u64 {
    Surroundings::of_the_system().clock.now_ms()
}

fn tell(what: &str, path: &Path, found: &BackupSummary) {
    println!(
        "{what} {}: {} records as of journal record {}, {} blobs, {}",
        path.display(),
        found.entries,
        found.place.seq,
        found.blobs,
        match found.keys {
            0 => "no keys".to_owned(),
            count => format!("{count} key files"),
        }
    );
}

pub fn backup(config: &Path, file: &Path, with_keys: bool) -> anyhow::Result<()> {
    let data_dir = data_dir_of(config)?;
    let found = make_backup(&data_dir, file, with_keys, now_ms())?;
    tell("wrote", file, &found);
    if with_keys {
        println!("the keys are in it: keep it as you would keep them");
    } else {
        println!(
            "the keys are NOT in it: keep a copy of {} apart, or use --with-keys; without them \
             the devices would not accept a restored gateway",
            data_dir.join("keys").display()
        );
    }
    Ok(())
}

pub fn restore(config: &Path, file: &Path) -> anyhow::Result<()> {
    let data_dir = data_dir_of(config)?;
    let found = restore_backup(file, &data_dir, now_ms())?;
    tell("restored", file, &found);
    if found.keys == 0 {
        println!(
            "the backup has no keys: put those of the old gateway into {} before you start it",
            data_dir.join("keys").display()
        );
    }
    println!(
        "devices that have seen later generations refuse the restored ones at first; the gateway \
         learns from their reports and goes on above. Devices that enrolled after the backup must \
         enrol again"
    );
    Ok(())
}

pub fn verify(config: &Path) -> anyhow::Result<()> {
    let data_dir = data_dir_of(config)?;
    let verified = verify_data_dir(&data_dir)?;
    println!(
        "journal: records {} to {} hold together, {} of them, {} signatures, {} snapshots; it ends at {}",
        verified.first_seq,
        verified.head.seq,
        verified.records,
        verified.signatures,
        verified.snapshots,
        verified.head
    );
    if verified.torn_bytes > 0 {
        println!(
            "behind it are {} bytes of an unfinished write, which a start cuts off",
            verified.torn_bytes
        );
    }
    let (whole, bad) = verify_blobs(&data_dir, &verified.entries)?;
    println!("blobs: {whole} are whole");
    if !bad.is_empty() {
        let names: Vec<String> = bad.iter().take(10).map(ToString::to_string).collect();
        bail!("{} blobs are missing or damaged: {}", bad.len(), names.join(", "));
    }
    Ok(())
}

pub fn verify_backup(file: &Path) -> anyhow::Result<()> {
    let found = check_backup(file).with_context(|| format!("check {}", file.display()))?;
    tell("whole:", file, &found);
    Ok(())
}
