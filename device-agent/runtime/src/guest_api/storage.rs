//! Values that outlive the worker. The starter keeps them; here is a copy to read from.

use super::Meters;
use super::error::GuestError;
use super::host_call::{Answer, HostCall, done, give, numbers};
use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};
use std::time::Instant;
use wamr::Value;
use worker_protocol::{
    Ask, Outcome, STORED_VALUE_BYTES_MAX, StorageUsage, StoredValue, stored_bytes,
};

pub struct Storage {
    quota_bytes: usize,
    used_bytes: usize,
    values: BTreeMap<String, Vec<u8>>,
    /// Before the module is started, and where an artifact is only checked, nothing is
    /// kept: known answers hold with an empty storage, and must not change the real one.
    is_kept: bool,
}

impl Storage {
    pub fn new(quota_bytes: u32) -> Self {
        let quota_bytes = quota_bytes as usize;
        Self { quota_bytes, used_bytes: 0, values: BTreeMap::new(), is_kept: false }
    }

    /// From now on it is the real one.
    pub fn begin(&mut self, kept: Vec<StoredValue>) {
        self.values = kept.into_iter().map(|kept| (kept.key, kept.value)).collect();
        self.used_bytes = self.values.iter().map(|(key, value)| stored_bytes(key, value)).sum();
        self.is_kept = true;
    }

    /// Whether the quota has room for this in place of what the key has now. A quota that
    /// was lowered below what there is leaves room only for less than before.
    fn has_room(&self, key: &str, value: &[u8]) -> bool {
        let (new, old) = (stored_bytes(key, value), self.bytes_of(key));
        new <= old || self.used_bytes - old + new <= self.quota_bytes
    }

    fn bytes_of(&self, key: &str) -> usize {
        self.values.get(key).map_or(0, |value| stored_bytes(key, value))
    }

    fn set(&mut self, key: String, value: Vec<u8>) {
        self.used_bytes = self.used_bytes - self.bytes_of(&key) + stored_bytes(&key, &value);
        self.values.insert(key, value);
    }

    fn delete(&mut self, key: &str) {
        self.used_bytes -= self.bytes_of(key);
        self.values.remove(key);
    }
}

impl Meters {
    pub fn storage(&self) -> MutexGuard<'_, Storage> {
        self.storage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the figures up to date.
    pub fn show_storage(&self) {
        let Storage { quota_bytes, used_bytes, .. } = *self.storage();
        if quota_bytes == 0 {
            return;
        }
        let usage = StorageUsage { used_bytes: used_bytes as u64, quota_bytes: quota_bytes as u64 };
        self.shared.update_usage(|all| all.guest.get_or_insert_default().storage = Some(usage));
    }

    /// Whether the module has begun on a device, and what it does there lasts.
    pub fn acts(&self) -> bool {
        self.storage().is_kept
    }

    /// Whether the starter has kept the change; always so where nothing is kept.
    fn keep(&self, ask: Ask) -> Result<(), GuestError> {
        if !self.acts() {
            return Ok(());
        }
        if !self.rates().store.admits(Instant::now()) {
            return Err(GuestError::TooMany);
        }
        // Without the lock: this can take a while.
        match self.shared.ask(ask) {
            Outcome::Done => Ok(()),
            other => Err(other.into()),
        }
    }
}

pub fn get(call: &mut HostCall<'_, '_>, args: &[Value]) -> Answer {
    let [key_address, key_len, address, len] = numbers(args)?;
    let key = call.name(key_address, key_len)?;
    call.check(address, len)?;
    let Some(key) = key else { return GuestError::Name.into() };
    let storage = call.state()?.meters.storage();
    if storage.quota_bytes == 0 {
        return GuestError::Denied.into();
    }
    let Some(value) = storage.values.get(&key).cloned() else { return GuestError::Absent.into() };
    drop(storage);
    give(call, address, len, &value)
}

pub fn set(call: &mut HostCall<'_, '_>, args: &[Value]) -> Answer {
    let [key_address, key_len, address, len] = numbers(args)?;
    let key = call.name(key_address, key_len)?;
    let value = call.slice(address, len)?;
    let value = (value.len() <= STORED_VALUE_BYTES_MAX).then(|| value.to_vec());
    let Some(key) = key else { return GuestError::Name.into() };
    let meters = call.state()?.meters.clone();
    if meters.storage().quota_bytes == 0 {
        return GuestError::Denied.into();
    }
    let Some(value) = value else { return GuestError::TooLong.into() };
    if !meters.storage().has_room(&key, &value) {
        return GuestError::Full.into();
    }
    // A device's storage wears: what is there already is not written again.
    if meters.storage().values.get(&key) == Some(&value) {
        return done(0);
    }
    let kept = StoredValue { key, value };
    if let Err(error) = meters.keep(Ask::Keep(kept.clone())) {
        return error.into();
    }
    meters.storage().set(kept.key, kept.value);
    meters.show_storage();
    done(0)
}

pub fn delete(call: &mut HostCall<'_, '_>, args: &[Value]) -> Answer {
    let [key_address, key_len] = numbers(args)?;
    let Some(key) = call.name(key_address, key_len)? else { return GuestError::Name.into() };
    let meters = call.state()?.meters.clone();
    if meters.storage().quota_bytes == 0 {
        return GuestError::Denied.into();
    }
    if !meters.storage().values.contains_key(&key) {
        return GuestError::Absent.into();
    }
    if let Err(error) = meters.keep(Ask::Forget { key: key.clone() }) {
        return error.into();
    }
    meters.storage().delete(&key);
    meters.show_storage();
    done(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quota_holds_to_the_byte() {
        let mut storage = Storage::new(40);
        assert!(storage.has_room("key", &[0; 21]) && !storage.has_room("key", &[0; 22]));
        storage.set("key".into(), vec![0; 21]);
        assert_eq!(storage.used_bytes, 40);
        assert!(storage.has_room("key", &[1; 21]), "in place of the old one");
        assert!(!storage.has_room("k", &[]));
        storage.delete("key");
        assert_eq!(storage.used_bytes, 0);
    }

    #[test]
    fn a_lowered_quota_lets_what_is_there_shrink() {
        let mut storage = Storage::new(20);
        storage.begin(vec![StoredValue { key: "key".into(), value: vec![0; 100] }]);
        assert!(!storage.has_room("key", &[0; 101]));
        assert!(storage.has_room("key", &[0; 100]) && storage.has_room("key", &[]));
        assert!(!storage.has_room("k", &[]));
    }
}
