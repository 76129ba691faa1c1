//! Fetching with a gateway in the test's hand.

use super::queue::{FetchQueue, Request};
use super::*;
use crate::samples;

fn release(blocks: u32) -> (Rc<Release>, Vec<u8>) {
    let bytes: Vec<u8> = (0..blocks * BLOCK_BYTES - 5).map(|index| (index / 9) as u8).collect();
    (Rc::new(samples::release_of("a", 1, &bytes)), bytes)
}

fn block_of(bytes: &[u8], index: u32) -> Block {
    let chunk = bytes.chunks(BLOCK_BYTES as usize).nth(index as usize).unwrap();
    Block::plain(index, bytes.len() as u64, chunk.to_vec())
}

const AT: fn(u64) -> Moment = Duration::from_secs;

/// That a block was right, whatever is to be done with it.
#[track_caller]
fn assert_written(taken: Taken, index: u32, last: bool) {
    let Taken::Write { index: written, last: is_last, .. } = taken else {
        panic!("block {index} is not written: {taken:?}")
    };
    assert_eq!((written, is_last), (index, last));
}

#[test]
fn all_that_is_missing_is_asked_for_and_progress_is_told_every_sixteen_blocks() {
    let (release, bytes) = release(40);
    let mut fetch = Fetch::of_artifact(release, Bitmap::full(40), AT(0), 1);
    fetch.restart(AT(0));
    let first = fetch.poll(AT(0)).unwrap();
    assert!(first.missing.unwrap().iter().eq(0..40));
    assert_eq!(first.restarted, Some(true));
    for index in (4..20).rev() {
        assert_eq!(fetch.poll(AT(0)), None, "too early to tell");
        assert_written(fetch.take(&block_of(&bytes, index), AT(0)), index, false);
    }
    let second = fetch.poll(AT(0)).unwrap();
    assert!(second.missing.unwrap().iter().eq((0..4).chain(20..40)));
    assert_eq!(second.restarted, None);
    assert_eq!(fetch.take(&block_of(&bytes, 5), AT(0)), Taken::Ignored);
    for index in (0..4).chain(20..40) {
        assert_written(fetch.take(&block_of(&bytes, index), AT(0)), index, index == 39);
    }
    assert_eq!(fetch.progress_bytes(), (bytes.len() as u64, bytes.len() as u64));
}

#[test]
fn slow_progress_is_told_every_second() {
    let (release, bytes) = release(3);
    let mut fetch = Fetch::of_artifact(release, Bitmap::full(3), AT(0), 1);
    fetch.restart(AT(0));
    fetch.poll(AT(0)).unwrap();
    assert_written(fetch.take(&block_of(&bytes, 0), AT(0)), 0, false);
    assert_eq!(fetch.deadline(), Some(AT(1)));
    assert!(fetch.poll(AT(1)).unwrap().missing.unwrap().iter().eq(1..3));
    assert!(fetch.deadline().unwrap() >= AT(3), "and then it waits for more");
}

#[test]
fn compressed_blocks_are_taken_for_what_they_hold() {
    let (release, bytes) = release(1);
    let mut fetch = Fetch::of_artifact(release, Bitmap::full(1), AT(0), 1);
    fetch.restart(AT(0));
    let packed = Block::packed(0, bytes.len() as u64, bytes.clone());
    assert!(packed.compression.is_some());
    let mut cut = packed.clone();
    cut.bytes.truncate(9);
    assert!(matches!(fetch.take(&cut, AT(0)), Taken::WrongHash(_)));
    assert_eq!(fetch.take(&packed, AT(0)), Taken::Write { index: 0, bytes, last: true });
}

#[test]
fn ten_minutes_of_silence_on_one_connection_or_several_end_a_fetch() {
    let (release, _) = release(2);
    let mut fetch = Fetch::of_artifact(release, Bitmap::full(2), AT(0), 1);
    fetch.restart(AT(0));
    fetch.pause(AT(400));
    // While there is no connection nothing can come.
    assert_eq!(fetch.given_up(AT(90_000)), None);
    fetch.restart(AT(90_000));
    assert_eq!(fetch.given_up(AT(90_199)), None);
    assert!(fetch.deadline().unwrap() <= AT(90_200));
    assert_eq!(fetch.given_up(AT(90_200)).unwrap(), "nothing came for 600 s");
}

#[test]
fn a_trickle_ends_a_fetch_and_a_slow_stream_does_not() {
    let patience = Patience { stretch: AT(100), bytes_per_s_min: 1_000 };
    for (block_every_s, expected_blocks) in [(36, 2), (24, 40)] {
        let (release, bytes) = release(40);
        let fetch = Fetch::of_artifact(release, Bitmap::full(40), AT(0), 1);
        let mut fetch = fetch.with_patience(patience);
        fetch.restart(AT(0));
        let mut blocks = 0;
        for index in 0..40 {
            let now = AT(u64::from(index + 1) * block_every_s);
            if fetch.given_up(now).is_some() {
                break;
            }
            fetch.take(&block_of(&bytes, index), now);
            blocks += 1;
        }
        assert_eq!(blocks, expected_blocks);
    }
}

#[test]
fn forged_blocks_of_a_release_do_not_prolong_its_fetch() {
    let bytes = vec![1; BLOCK_BYTES as usize + 7];
    let mut fetch = Fetch::of_release(BlobId::of(&bytes), AT(0), 1);
    fetch.restart(AT(0));
    for second in 0..600 {
        assert_eq!(fetch.given_up(AT(second)), None);
        fetch.poll(AT(second));
        let forged = Block::plain(0, bytes.len() as u64, vec![2; BLOCK_BYTES as usize]);
        fetch.take(&forged, AT(second));
    }
    assert!(fetch.given_up(AT(600)).is_some());
}

#[test]
fn a_release_of_several_blocks_is_put_together() {
    let bytes: Vec<u8> = (0..BLOCK_BYTES * 2 + 7).map(|index| (index / 3) as u8).collect();
    let mut fetch = Fetch::of_release(BlobId::of(&bytes), AT(0), 1);
    fetch.restart(AT(0));
    assert_eq!(fetch.poll(AT(0)).unwrap().missing, None);
    assert_eq!(fetch.take(&block_of(&bytes, 0), AT(0)), Taken::Kept);
    let missing = fetch.poll(AT(0)).unwrap().missing.unwrap();
    assert!(missing.iter().eq([1, 2]));
    assert_eq!(fetch.take(&block_of(&bytes, 2), AT(0)), Taken::Kept);
    assert_eq!(fetch.take(&block_of(&bytes, 1), AT(0)), Taken::WholeRelease(bytes));
}

#[test]
fn silence_is_answered_by_asking_again_with_growing_delays() {
    let (release, bytes) = release(2);
    let mut fetch = Fetch::of_artifact(release, Bitmap::full(2), AT(0), 1);
    fetch.restart(AT(0));
    let mut delays = Vec::new();
    let mut now = AT(0);
    for _ in 0..8 {
        assert!(fetch.poll(now).is_some());
        let next = fetch.deadline().unwrap();
        delays.push(next - now);
        now = next;
    }
    assert!(delays[0] >= AT(2) && delays[0] <= AT(4), "{delays:?}");
    assert!(delays[7] >= AT(30) && delays[7] <= AT(60), "{delays:?}");
    assert!(fetch.is_stalled(now));
    fetch.take(&block_of(&bytes, 0), now);
    assert!(!fetch.is_stalled(now));
    assert!(fetch.deadline().unwrap() - now <= AT(4));
}

#[test]
fn changed_blocks_are_thrown_away() {
    let (release, bytes) = release(2);
    let mut fetch = Fetch::of_artifact(release, Bitmap::full(2), AT(0), 1);
    fetch.restart(AT(0));
    fetch.poll(AT(0));
    let mut changed = block_of(&bytes, 0);
    changed.bytes[5] ^= 1;
    assert!(matches!(fetch.take(&changed, AT(0)), Taken::WrongHash(_)));
    let mut grown = block_of(&bytes, 0);
    grown.blob_bytes = u64::MAX;
    assert!(matches!(fetch.take(&grown, AT(0)), Taken::WrongHash(_)));
    let outside = Block { index: 9, ..block_of(&bytes, 0) };
    assert_eq!(fetch.take(&outside, AT(0)), Taken::Ignored);
    assert!(fetch.wrong_block().unwrap().starts_with("block 0 of artifact"));
    assert_written(fetch.take(&block_of(&bytes, 0), AT(0)), 0, false);
    assert_eq!(fetch.wrong_block(), None);
}

#[test]
fn a_release_with_forged_blocks_is_fetched_again_from_nothing() {
    let bytes: Vec<u8> = (0..BLOCK_BYTES + 7).map(|index| index as u8).collect();
    let mut fetch = Fetch::of_release(BlobId::of(&bytes), AT(0), 1);
    fetch.restart(AT(0));
    fetch.poll(AT(0));
    let endless = Block::plain(0, u64::MAX, vec![0; 9]);
    assert!(matches!(fetch.take(&endless, AT(0)), Taken::WrongHash(_)));
    // A forged size that is possible would make it wait for blocks that never come.
    let block = vec![0; BLOCK_BYTES as usize];
    let forged = Block::plain(0, 100_000, block);
    assert_eq!(fetch.take(&forged, AT(0)), Taken::Kept);
    let mut now = AT(0);
    loop {
        let want = fetch.poll(now).unwrap();
        now = fetch.deadline().unwrap();
        if want.missing.is_none() {
            break;
        }
        assert!(now < AT(120), "it never starts again");
    }
    assert_eq!(fetch.take(&block_of(&bytes, 0), now), Taken::Kept);
    assert_eq!(fetch.take(&block_of(&bytes, 1), now), Taken::WholeRelease(bytes));
}

#[test]
fn only_a_few_fetches_run_at_once_and_a_new_connection_starts_them_again() {
    let mut queue = FetchQueue::default();
    let blobs: Vec<BlobId> = (0..6u8).map(|n| BlobId::of(&[n])).collect();
    blobs.iter().for_each(|blob| queue.start(Fetch::of_release(*blob, AT(0), 1)));
    queue.start(Fetch::of_release(blobs[0], AT(0), 1));
    assert_eq!(queue.poll(AT(0)), []);
    assert_eq!(queue.deadline(), None);
    queue.connect();
    let subscribed = |due: &[Request]| -> Vec<BlobId> {
        let blob = |request: &Request| match request {
            Request::Subscribe(blob, _) => Some(*blob),
            _ => None,
        };
        due.iter().filter_map(blob).collect()
    };
    let due = queue.poll(AT(0));
    assert_eq!(subscribed(&due), blobs[..4]);
    assert_eq!(due.len(), 8);
    queue.stop(&blobs[1]);
    let due = queue.poll(AT(0));
    assert_eq!(due[0], Request::Unsubscribe(blobs[1], None));
    assert_eq!(due[1], Request::Ask(thanks(blobs[1], None)));
    assert_eq!(subscribed(&due), blobs[4..5]);
    queue.disconnect(AT(0));
    queue.connect();
    assert_eq!(subscribed(&queue.poll(AT(1))).len(), 4);
    queue.stop_all_but(|blob| *blob == blobs[5]);
    assert!(queue.find(&blobs[5]).is_some() && queue.find(&blobs[0]).is_none());
}
