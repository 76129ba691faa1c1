//! What each device has had of a blob, and how often it got the same again.
//!
//! A device loses blocks now and then and gets them again. One that asks for the same
//! without end costs the gateway's and the broker's bytes, and where many do it
//! together everybody's. So repeats are counted, whoever else they went to, and
//! beyond some times the whole blob the device has to wait.

use device_protocol::Bitmap;
use module_package::{BlobId, DeviceId};
use std::collections::HashMap;

/// So many times over a device gets a blob again, with some blocks to spare for small
/// ones.
const REPEATS_MAX: u64 = 4;
const REPEATED_BLOCKS_FREE: u64 = 64;
/// Until it is forgotten.
const FORGOTTEN_MS: u64 = 10 * 60 * 1_000;
/// Between two looks for what can be forgotten.
const SWEEP_MS: u64 = 60 * 1_000;

#[derive(Debug)]
struct Account {
    had: Bitmap,
    repeats: u64,
    since_ms: u64,
}

#[derive(Debug, Default)]
pub struct Accounts {
    accounts: HashMap<(DeviceId, BlobId), Account>,
    swept_ms: u64,
}

impl Accounts {
    pub fn note_sent(&mut self, device: &DeviceId, blob: &BlobId, block: (u32, u32), now_ms: u64) {
        let (index, count) = block;
        self.sweep(now_ms);
        let new = || Account {
            had: Bitmap(vec![0; count.div_ceil(8) as usize]),
            repeats: 0,
            since_ms: now_ms,
        };
        let account = self.accounts.entry((device.clone(), *blob)).or_insert_with(new);
        account.repeats += u64::from(account.had.contains(index));
        account.had.insert(index);
    }

    /// Whether it has to wait. A device without a topic of its own gets what it lacks
    /// where everybody listens: that is repeated less often.
    pub fn is_over(
        &self,
        device: &DeviceId,
        blob: &BlobId,
        count: u32,
        has_own_topic: bool,
        now_ms: u64,
    ) -> bool {
        let Some(account) = self.accounts.get(&(device.clone(), *blob)) else { return false };
        let repeats_max = match has_own_topic {
            true => u64::from(count) * REPEATS_MAX + REPEATED_BLOCKS_FREE,
            false => u64::from(count),
        };
        account.repeats >= repeats_max && now_ms < account.since_ms + FORGOTTEN_MS
    }

    fn sweep(&mut self, now_ms: u64) {
        if now_ms >= self.swept_ms + SWEEP_MS {
            self.swept_ms = now_ms;
            self.accounts.retain(|_, account| now_ms < account.since_ms + FORGOTTEN_MS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_gets_for_the_first_time_is_free_and_repeats_end() {
        let (device, blob) = (DeviceId::of_key(&[1; 32]), BlobId([2; 32]));
        let mut accounts = Accounts::default();
        let is_over = |accounts: &Accounts, own, at| accounts.is_over(&device, &blob, 100, own, at);
        (0..100).for_each(|index| accounts.note_sent(&device, &blob, (index, 100), 0));
        assert!(!is_over(&accounts, false, 0));
        (0..100).for_each(|index| accounts.note_sent(&device, &blob, (index, 100), 0));
        assert!(is_over(&accounts, false, 0) && !is_over(&accounts, true, 0));
        (0..364).for_each(|index| accounts.note_sent(&device, &blob, (index % 100, 100), 0));
        assert!(is_over(&accounts, true, FORGOTTEN_MS - 1));
        assert!(!is_over(&accounts, true, FORGOTTEN_MS));
        let other = DeviceId::of_key(&[3; 32]);
        assert!(!accounts.is_over(&other, &blob, 100, true, 0), "each has its own account");
        accounts.note_sent(&other, &blob, (0, 100), FORGOTTEN_MS);
        assert_eq!(accounts.accounts.len(), 1, "what is old is not kept");
    }
}
