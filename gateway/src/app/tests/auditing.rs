//! What the audit log says, a full disk, and devices that know more than the store.

use super::fleet::{FakeDevice, Fleet, plain_wasm, refusal};
use crate::app::AppError;
use audit_chain::Chain;
use gateway_api::{AuditRecord, NewClaimToken};
use module_package::{KeyId, ManifestId, payload_of};

fn records(fleet: &Fleet) -> Vec<AuditRecord> {
    fleet.app.audit(0, Some(500)).unwrap().records
}

#[test]
fn every_signature_is_in_the_log_with_its_key_and_the_documents_hash() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(42));
    fleet.deploy("answer");
    fleet.work_well();
    let records = records(&fleet);
    let mut chain = Chain::from_the_start();
    for record in &records {
        chain.take(&hex::decode(&record.head).unwrap()).unwrap();
    }
    let page = fleet.app.audit(0, Some(1)).unwrap();
    chain.check_end(page.end.parse().unwrap()).unwrap();

    let signatures: Vec<_> = records.iter().flat_map(|r| &r.signatures).collect();
    let of = |document: &str| {
        let found: Vec<_> = signatures.iter().copied().filter(|s| s.document == document).collect();
        assert!(!found.is_empty(), "no {document} in {records:#?}");
        found.last().copied().unwrap()
    };
    let root = fleet.root();
    let key = |text: &str| text.parse::<KeyId>().unwrap();
    assert_eq!(of("root").document_hash, root.id().to_string());
    let manifest = of("manifest");
    let sealed = fleet.app.sealed_manifest(&device.id).unwrap();
    let id = ManifestId::of(&payload_of(&sealed).unwrap());
    assert_eq!(manifest.document_hash, id.to_string());
    root.find_assign_key(&key(&manifest.key_id)).unwrap();
    let release = of("release");
    let entry = &fleet.manifest(&device).unwrap().apps[0];
    assert_eq!(release.document_hash, entry.release.to_string());
    root.find_release_key(&key(&release.key_id)).unwrap();
    // The device let itself in; what followed was the gateway's doing or a user's.
    let enrolled = records.iter().find(|r| r.actions.iter().any(|a| a.what == "device kept"));
    assert_eq!(enrolled.unwrap().actor, format!("device {}", device.id));
}

#[test]
fn a_full_disk_changes_nothing_and_heals_with_what_had_to_wait() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    let seen = records(&fleet).len();
    fleet.fill_disk(true);
    let refused = fleet.app.new_claim_token(&NewClaimToken { valid_s: None });
    assert!(matches!(&refused, Err(AppError::Store(e)) if e.is_full()), "{refused:?}");
    assert!(fleet.app.session().storage_full && fleet.app.overview().storage_full);
    fleet.app.tick();
    assert!(fleet.app.is_storage_full(), "it stays full until there is space");
    assert_eq!(records(&fleet).len(), seen);
    fleet.fill_disk(false);
    fleet.app.tick();
    assert!(!fleet.app.session().storage_full);
    fleet.app.new_claim_token(&NewClaimToken { valid_s: None }).unwrap();
}

#[test]
fn what_was_written_is_answered_for_also_if_what_follows_finds_no_room() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(42));
    fleet.deploy("answer");
    fleet.work_well();
    let generation = || fleet.app.devices()[0].generation_wanted;
    assert_eq!(generation(), 1);
    fleet.fill_disk_after(1);
    let deployment = fleet.deploy("answer");
    assert!(fleet.app.session().storage_full);
    assert!(fleet.app.deployments().iter().any(|listed| listed.id == deployment.id));
    fleet.app.tick();
    assert_eq!(generation(), 1, "there is no room for its manifest");
    fleet.fill_disk(false);
    // Something else that finds room takes the banner away, and not what waits.
    fleet.app.new_claim_token(&NewClaimToken { valid_s: None }).unwrap();
    assert!(!fleet.app.session().storage_full);
    fleet.app.tick();
    assert_eq!(generation(), 2);
}

#[test]
fn a_job_whose_result_finds_no_room_is_done_again_when_there_is() {
    for commits in [1, 2] {
        let fleet = Fleet::new();
        let device = FakeDevice::new(1, "x86_64-linux");
        fleet.enrol(&device);
        fleet.upload("answer", &plain_wasm(42));
        // The deployment finds room, and after it the artifact or not even that.
        fleet.fill_disk_after(commits);
        fleet.deploy("answer");
        assert_eq!(fleet.work_well().len(), 1);
        assert!(fleet.manifest(&device).is_none() && fleet.app.session().storage_full);
        for _ in 0..20 {
            fleet.app.tick();
            fleet.pass_ms(500);
            assert!(fleet.work_well().is_empty(), "it is not tried while there is no room");
        }
        fleet.fill_disk(false);
        fleet.app.tick();
        fleet.work_well();
        assert!(fleet.manifest(&device).is_some());
    }
}

#[test]
fn a_device_that_has_seen_more_than_the_store_gets_a_manifest_above_it() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(42));
    fleet.deploy("answer");
    fleet.work_well();
    let ours = fleet.manifest(&device).unwrap();
    // As after a restore from a backup of when there were fewer.
    fleet.report(&device, &device.report(1, ours.seq + 7, vec![]));
    let above = fleet.manifest(&device).unwrap();
    assert_eq!(above.seq, ours.seq + 8);
    assert_eq!(above.apps, ours.apps);

    // The same number with another content: the device calls ours equivocation.
    fleet.pass_ms(5_000);
    let mut report = device.report(2, above.seq, vec![]);
    report.manifest = Some(ManifestId([9; 32]));
    fleet.report(&device, &report);
    assert_eq!(fleet.manifest(&device).unwrap().seq, above.seq + 1);

    // Nothing happens where it has ours, or is behind.
    fleet.pass_ms(5_000);
    let sealed = fleet.app.sealed_manifest(&device.id).unwrap();
    let mut report = device.report(3, above.seq + 1, vec![]);
    report.manifest = Some(ManifestId::of(&payload_of(&sealed).unwrap()));
    fleet.report(&device, &report);
    fleet.report(&device, &device.report(4, 1, vec![]));
    assert_eq!(fleet.manifest(&device).unwrap().seq, above.seq + 1);

    // A device cannot use up the numbers.
    fleet.pass_ms(5_000);
    fleet.report(&device, &device.report(5, u64::MAX, vec![]));
    assert_eq!(fleet.manifest(&device).unwrap().seq, above.seq + 1);
    assert!(refusal(fleet.app.deployment("none")).1.contains("no deployment"));
}
