use super::*;
use device_protocol::Bitmap;

fn blob(number: u8) -> BlobId {
    BlobId([number; 32])
}

fn device(number: u8) -> DeviceId {
    DeviceId::of_key(&[number; 32])
}

fn want(blob: BlobId, site: Option<&str>) -> Want {
    Want {
        version: 1,
        blob,
        missing: Some(Bitmap::full(8)),
        abilities: Some(Want::READS_DEFLATE | Want::HAS_OWN_TOPIC),
        restarted: Some(true),
        site: site.map(|site| site.parse().unwrap()),
    }
}

#[test]
fn a_site_gets_its_blocks_once_on_its_own_topic_and_no_faster_than_allowed() {
    let north: SiteName = "north".parse().unwrap();
    // Four blocks a second for four devices: one a second for each.
    let limits = SiteLimits::from([(north.clone(), 4 * u64::from(BLOCK_BYTES))]);
    let mut desk = BlockDesk::new(&limits, 0);
    for number in 0..4 {
        desk.ask(&device(number), &want(blob(1), Some("north")), 8, || 8, 0).unwrap();
        desk.ask(&device(10 + number), &want(blob(1), None), 8, || 8, 0).unwrap();
    }
    let mut sent = BTreeMap::<String, Vec<u64>>::new();
    for now_ms in (0..20_000).step_by(50) {
        for request in desk.take_due(now_ms).0 {
            sent.entry(request.topic.to_string()).or_default().push(now_ms);
        }
        // So that nobody counts as gone.
        for number in 0..4 {
            let waits = Want { restarted: None, ..want(blob(1), Some("north")) };
            desk.ask(&device(number), &waits, 8, || 8, now_ms).unwrap();
        }
    }
    let of_all = &sent[&Topic::Blob(blob(1)).to_string()];
    let of_site = &sent[&Topic::SiteBlob(blob(1), north).to_string()];
    assert!(of_all.len() == 8 && of_all[7] < 1_000, "{of_all:?}");
    assert!(of_site.len() >= 8 && of_site[7] >= 6_000, "{of_site:?}");
}

#[test]
fn one_device_gets_a_blob_alone_only_so_many_times() {
    let mut desk = BlockDesk::default();
    let mut sent = 0;
    let mut refused = 0;
    for now_ms in (0..60_000).step_by(20) {
        let asked = desk.ask(&device(1), &want(blob(1), None), 8, || 1, now_ms);
        refused += u64::from(asked == Err(DeskRefusal::TooOften));
        sent += desk.take_due(now_ms).0.len() as u64;
    }
    assert!(refused > 0);
    // Once, four times again, 64 more, and what was on its way.
    assert!((96..=8 * 5 + 64 + 16).contains(&sent), "{sent} blocks");
    desk.ask(&device(2), &want(blob(1), None), 8, || 1, 60_000).unwrap();
    assert_eq!(desk.take_due(60_000).0.len(), 8, "another device has its own account");
}

#[test]
fn a_device_asks_for_a_few_blobs_at_a_time() {
    let mut desk = BlockDesk::default();
    let ask =
        |desk: &mut BlockDesk, number| desk.ask(&device(1), &want(blob(number), None), 8, || 1, 0);
    (0..16).for_each(|number| ask(&mut desk, number).unwrap());
    assert_eq!(ask(&mut desk, 16), Err(DeskRefusal::TooManyBlobs));
    desk.forget(&device(1));
    assert!(desk.transfers.is_empty());
}
