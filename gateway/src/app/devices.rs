//! Enrolment: how a device becomes known, by a claim token or by its fingerprint.

use super::audit::as_device;
use super::model::shorten;
use super::pending::{PENDING_MAX, Pending, RETRY_AFTER_S, Standing};
use super::{App, AppError, views};
use crate::store::record::{Admission, ClaimRecord, DeviceRecord};
use crate::store::{Change, StoreError};
use device_protocol::{
    ClaimToken, EnrolPending, EnrolRequest, EnrolResponse, EnrolStatement, MESSAGE_VERSION,
    decode_sealed, encode_sealed, fingerprint, parse_fingerprint,
};
use gateway_api::{
    AcceptedEnrolment, Device, Event, NewClaimToken, PendingEnrolment, PendingEnrolments,
    ProblemCode,
};
use module_package::{DeviceId, Domain, PublicKey, RootId, SealError, TrustedRoot, open};
use target_spec::Registry;

/// Longest sealed statement.
const STATEMENT_BYTES_MAX: usize = 16 * 1024;
const LIST_MAX: usize = 256;
const TEXT_BYTES_MAX: usize = 128;
const NAME_CHARS_MAX: usize = 64;
const CLAIM_VALID_S: std::ops::RangeInclusive<u32> = 1..=86_400;
const CLAIM_VALID_S_DEFAULT: u32 = 3_600;
/// Open claims at a time: each is a promise to let a device in.
const CLAIMS_MAX: usize = 10_000;
/// A used claim is kept so that the same device can repeat its enrolment.
const USED_CLAIM_KEPT_MS: u64 = 24 * 3_600 * 1_000;

/// What became of a request without a claim token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enrolled {
    Done(EnrolResponse),
    Waits(EnrolPending),
}

impl App {
    pub fn new_claim_token(
        &self,
        new: &NewClaimToken,
    ) -> Result<gateway_api::ClaimToken, AppError> {
        let valid_s = new.valid_s.unwrap_or(CLAIM_VALID_S_DEFAULT);
        if !CLAIM_VALID_S.contains(&valid_s) {
            return Err(AppError::bad_request(format!(
                "valid_s is {valid_s}; it must be {} to {}.",
                CLAIM_VALID_S.start(),
                CLAIM_VALID_S.end()
            )));
        }
        let root = self.root_of(&self.state())?.id();
        let token = ClaimToken { secret: self.rooms.surroundings.random(), root };
        let expires_at_ms = self.now_ms() + u64::from(valid_s) * 1_000;
        let record = ClaimRecord { secret_hash: token.secret_hash(), expires_at_ms, used_by: None };
        let mut state = self.state();
        self.sweep_claims(&mut state)?;
        if state.model.claims.len() >= CLAIMS_MAX {
            return Err(AppError::refused(
                ProblemCode::RateLimited,
                format!("{CLAIMS_MAX} claim tokens are open; wait until some have expired."),
            ));
        }
        self.commit(&mut state, vec![Change::Claim(record)])?;
        Ok(gateway_api::ClaimToken { token: token.to_string(), expires_at_ms })
    }

    /// Forgets claims that can no longer be used or repeated.
    pub(super) fn sweep_claims(&self, state: &mut super::State) -> Result<(), StoreError> {
        let now_ms = self.now_ms();
        let is_over = |claim: &&ClaimRecord| match claim.used_by {
            Some(_) => claim.expires_at_ms + USED_CLAIM_KEPT_MS < now_ms,
            None => claim.expires_at_ms < now_ms,
        };
        let over = state.model.claims.values().filter(is_over);
        let changes = over.map(|claim| Change::DeleteClaim(claim.secret_hash)).collect();
        self.commit(state, changes)
    }

    pub fn enrol(&self, request: &EnrolRequest) -> Result<EnrolResponse, AppError> {
        match open_statement(request) {
            Ok(statement) => {
                let device = DeviceId::of_key(&statement.public_key.0);
                as_device(&device, || self.enrol_in_its_name(request))
            }
            // It is refused below, for this or for an earlier reason.
            Err(_) => self.enrol_in_its_name(request),
        }
    }

    fn enrol_in_its_name(&self, request: &EnrolRequest) -> Result<EnrolResponse, AppError> {
        let token: ClaimToken = request
            .claim_token
            .as_deref()
            .unwrap_or_default()
            .parse()
            .map_err(|e| claim_refused(&format!("{e}.")))?;
        let statement = open_statement(request)?;
        check_statement(&statement)?;
        if statement.claim_hash != Some(token.secret_hash()) {
            return Err(AppError::bad_request(
                "The enrolment statement is for another claim token.",
            ));
        }
        let device = DeviceId::of_key(&statement.public_key.0);
        let mut state = self.state();
        check_not_revoked(&state, &device)?;
        // The one that the token pins, which a rotation may have succeeded: the device
        // walks on from there.
        let Some(root) = self.root_with_id(&state, token.root) else {
            return Err(claim_refused("It names another gateway's root document."));
        };
        let response = self.enrol_response(&device, &statement.public_key, root)?;
        let claim = state.model.claims.get(&token.secret_hash());
        let claim = claim.cloned().ok_or_else(|| claim_refused("It is not known here."))?;
        match &claim.used_by {
            // The answer to the first attempt was lost.
            Some(used_by) if *used_by == device => return Ok(response),
            Some(_) => return Err(claim_refused("Another device has used it.")),
            None if claim.expires_at_ms < self.now_ms() => {
                return Err(claim_refused("It has expired."));
            }
            None => {}
        }
        check_target(&statement)?;
        check_name(&state, &statement, &device)?;
        if state.model.devices.contains_key(&device) {
            return self.enrol_again(&mut state, statement, claim, response);
        }
        let print = fingerprint(&statement.public_key);
        let record = to_record(device.clone(), statement, self.now_ms(), Admission::ClaimToken);
        let used = ClaimRecord { used_by: Some(device.clone()), ..claim };
        self.commit(&mut state, vec![Change::Device(record), Change::Claim(used)])?;
        self.pending().settle(&print);
        tracing::info!(device.id = %device, "enrolled");
        self.reconcile(&mut state, std::slice::from_ref(&device))?;
        self.show_device(&state, &device);
        Ok(response)
    }

    /// With the root document that the device shall pin.
    fn enrol_response(
        &self,
        device: &DeviceId,
        key: &PublicKey,
        sealed_root: &[u8],
    ) -> Result<EnrolResponse, AppError> {
        let root = TrustedRoot::pinned(sealed_root, RootId::of(sealed_root))
            .map_err(|e| AppError::Bug(format!("our own root document: {e}")))?;
        Ok(EnrolResponse {
            device_id: device.to_string(),
            root: encode_sealed(sealed_root),
            broker_url: self.addresses()?.mqtt_url.clone(),
            membership: self.membership(&root, device, key, None)?,
        })
    }

    fn newest_sealed_root<'s>(&self, state: &'s super::State) -> Result<&'s [u8], AppError> {
        self.root_of(state)?;
        let newest = state.model.roots.values().next_back();
        newest.map(|record| &record.sealed[..]).ok_or_else(|| AppError::Bug("no root".into()))
    }

    /// A device without a claim token: it waits until an operator accepts it.
    pub fn ask_to_enrol(&self, request: &EnrolRequest) -> Result<Enrolled, AppError> {
        if !self.pending().has_room_for_an_ask() {
            return Err(turned_away("too many devices ask at the same time"));
        }
        let statement = open_statement(request)?;
        check_statement(&statement)?;
        if statement.claim_hash.is_some() {
            return Err(AppError::bad_request(
                "The enrolment statement is for a claim token, and the request brings none.",
            ));
        }
        check_target(&statement)?;
        let (device, key) = (DeviceId::of_key(&statement.public_key.0), statement.public_key);
        let mut state = self.state();
        check_not_revoked(&state, &device)?;
        // It holds the key of a device that is enrolled, so it is that device.
        if state.model.is_served(&device) {
            let root = self.newest_sealed_root(&state)?;
            return Ok(Enrolled::Done(self.enrol_response(&device, &key, root)?));
        }
        check_name(&state, &statement, &device)?;
        let print = fingerprint(&key);
        let standing = self.pending().ask(&print, &device, &statement, self.now_ms());
        match standing {
            Standing::Waits => {
                tracing::info!(device.id = %device, fingerprint = print, "asks to be enrolled");
                let (fingerprint, retry_after_s) = (print, RETRY_AFTER_S);
                Ok(Enrolled::Waits(EnrolPending { fingerprint, retry_after_s }))
            }
            Standing::Accepted => {
                self.admit_by_fingerprint(&mut state, &device, statement)?;
                let root = self.newest_sealed_root(&state)?;
                Ok(Enrolled::Done(self.enrol_response(&device, &key, root)?))
            }
            Standing::Rejected => Err(AppError::refused(
                ProblemCode::Forbidden,
                "An operator has rejected this device.",
            )),
            Standing::TurnedAway => {
                Err(turned_away(&format!("{PENDING_MAX} devices wait to be accepted")))
            }
        }
    }

    fn admit_by_fingerprint(
        &self,
        state: &mut super::State,
        device: &DeviceId,
        statement: EnrolStatement,
    ) -> Result<(), AppError> {
        check_name(state, &statement, device)?;
        let print = fingerprint(&statement.public_key);
        let record = to_record(device.clone(), statement, self.now_ms(), Admission::Fingerprint);
        self.commit(state, vec![Change::Device(record)])?;
        self.pending().settle(&print);
        tracing::info!(device.id = %device, fingerprint = print, "enrolled by its fingerprint");
        self.reconcile(state, std::slice::from_ref(device))?;
        self.show_device(state, device);
        Ok(())
    }

    /// Who waits to be accepted, who waits longest first.
    pub fn pending_enrolments(&self) -> PendingEnrolments {
        let mut pending = self.pending();
        let to_view = |(fingerprint, ask): (&String, &super::pending::Ask)| PendingEnrolment {
            fingerprint: fingerprint.clone(),
            device: ask.device.to_string(),
            name: ask.statement.name.clone(),
            target: ask.statement.target.clone(),
            agent: ask.statement.agent.clone(),
            first_asked_ms: ask.first_ms,
            last_asked_ms: ask.last_ms,
        };
        let mut items: Vec<_> = pending.list(self.now_ms()).map(to_view).collect();
        items.sort_by_key(|item| item.first_asked_ms);
        PendingEnrolments { items, items_max: PENDING_MAX as u32, turned_away: pending.turned_away }
    }

    /// Lets the device with this fingerprint in, now or when it asks.
    pub fn accept_enrolment(&self, typed: &str) -> Result<AcceptedEnrolment, AppError> {
        let fingerprint = read_fingerprint(typed)?;
        let mut state = self.state();
        let waiting = self.pending().find(&fingerprint).cloned();
        let Some(ask) = waiting else {
            self.decide(&fingerprint, true)?;
            return Ok(AcceptedEnrolment { fingerprint, device: None });
        };
        self.admit_by_fingerprint(&mut state, &ask.device, ask.statement)?;
        let record = state.model.find_device(ask.device.as_str())?;
        let device = views::device(&state, &self.telemetry(), record, self.now_ms());
        Ok(AcceptedEnrolment { fingerprint, device: Some(device) })
    }

    /// Sends the device with this fingerprint away for an hour.
    pub fn reject_enrolment(&self, typed: &str) -> Result<(), AppError> {
        let fingerprint = read_fingerprint(typed)?;
        self.decide(&fingerprint, false)
    }

    fn decide(&self, fingerprint: &str, is_accepted: bool) -> Result<(), AppError> {
        if self.pending().decide(fingerprint, is_accepted, self.now_ms()) {
            return Ok(());
        }
        Err(AppError::refused(
            ProblemCode::RateLimited,
            "Too many decisions wait for their devices; each ends after an hour.",
        ))
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A known key with a fresh claim: the device describes itself anew.
    fn enrol_again(
        &self,
        state: &mut super::State,
        statement: EnrolStatement,
        claim: ClaimRecord,
        response: EnrolResponse,
    ) -> Result<EnrolResponse, AppError> {
        let device = DeviceId::of_key(&statement.public_key.0);
        let enrolled_at_ms = state.model.devices.get(&device).map_or(0, |d| d.enrolled_at_ms);
        let record = to_record(device.clone(), statement, enrolled_at_ms, Admission::ClaimToken);
        let used = ClaimRecord { used_by: Some(device.clone()), ..claim };
        self.commit(state, vec![Change::Device(record), Change::Claim(used)])?;
        tracing::info!(device.id = %device, "enrolled again");
        self.reconcile(state, std::slice::from_ref(&device))?;
        self.show_device(state, &device);
        Ok(response)
    }

    pub(super) fn show_device(&self, state: &super::State, device: &DeviceId) {
        if let Some(record) = state.model.devices.get(device) {
            let view = views::device(state, &self.telemetry(), record, self.now_ms());
            self.events.send(Event::Device { device: Box::new(view) });
        }
    }

    /// Without looking for where modules trapped: nobody who asks for all shows it.
    pub fn devices(&self) -> Vec<Device> {
        let state = self.state();
        let telemetry = self.telemetry();
        let mut devices: Vec<_> = state.model.devices.values().collect();
        devices.sort_by(|a, b| a.name.cmp(&b.name));
        let now_ms = self.now_ms();
        devices.into_iter().map(|d| views::device(&state, &telemetry, d, now_ms)).collect()
    }

    pub fn device(&self, reference: &str) -> Result<Device, AppError> {
        let device = self.state().model.find_device(reference)?.device.clone();
        self.find_trap_places(|id| *id == device);
        let state = self.state();
        let record = state.model.find_device(reference)?;
        Ok(views::device(&state, &self.telemetry(), record, self.now_ms()))
    }
}

fn claim_refused(why: &str) -> AppError {
    AppError::refused(
        ProblemCode::ClaimRefused,
        format!("The claim token is refused. {why} Create a new one and enrol with it."),
    )
}

/// The statement is signed by the key that it names, which proves possession.
fn open_statement(request: &EnrolRequest) -> Result<EnrolStatement, AppError> {
    let refuse = |what: String| AppError::bad_request(format!("The enrolment statement {what}."));
    if request.statement.len() > STATEMENT_BYTES_MAX * 4 / 3 + 4 {
        return Err(refuse(format!("is longer than {STATEMENT_BYTES_MAX} bytes")));
    }
    let sealed = decode_sealed(&request.statement)
        .ok_or_else(|| refuse("is not base64url without padding".into()))?;
    let claimed_key = read_claimed_key(&sealed).map_err(refuse)?;
    let payload = open(Domain::Enrol, &sealed, STATEMENT_BYTES_MAX, |id| {
        if claimed_key.id() == *id { Ok(claimed_key) } else { Err(SealError::UnknownKey(*id)) }
    })
    .map_err(|e| refuse(format!("is not sealed by its own key: {e}")))?;
    minicbor::decode(&payload).map_err(|e| refuse(format!("cannot be read: {e}")))
}

/// The key that the unverified payload names; the signature is checked with it.
fn read_claimed_key(sealed: &[u8]) -> Result<PublicKey, String> {
    let payload = unverified_payload(sealed).ok_or("is no COSE_Sign1")?;
    let statement: EnrolStatement =
        minicbor::decode(payload).map_err(|e| format!("cannot be read: {e}"))?;
    Ok(statement.public_key)
}

/// The third field of a COSE_Sign1 (RFC 9052, section 4.2).
fn unverified_payload(sealed: &[u8]) -> Option<&[u8]> {
    let mut decoder = minicbor::Decoder::new(sealed);
    if decoder.datatype().ok()? == minicbor::data::Type::Tag {
        decoder.tag().ok()?;
    }
    (decoder.array().ok()? == Some(4)).then_some(())?;
    decoder.skip().ok()?;
    decoder.skip().ok()?;
    decoder.bytes().ok()
}

fn read_fingerprint(typed: &str) -> Result<String, AppError> {
    parse_fingerprint(typed).ok_or_else(|| {
        AppError::bad_request(format!(
            "{:?} is no fingerprint: it should have four groups of five digits, as the agent's log shows it.",
            shorten(typed)
        ))
    })
}

fn turned_away(why: &str) -> AppError {
    AppError::refused(
        ProblemCode::RateLimited,
        format!(
            "The device is not taken into the list: {why}. It asks again by itself; an operator who knows its fingerprint can accept it all the same."
        ),
    )
}

fn check_not_revoked(state: &super::State, device: &DeviceId) -> Result<(), AppError> {
    let record = state.model.devices.get(device);
    if record.is_none_or(DeviceRecord::is_served) {
        return Ok(());
    }
    Err(AppError::refused(
        ProblemCode::Forbidden,
        "The device was revoked. Remove it (farrier device remove) before it can enrol again.",
    ))
}

fn check_name(
    state: &super::State,
    statement: &EnrolStatement,
    device: &DeviceId,
) -> Result<(), AppError> {
    let owner = state.model.devices.values().find(|d| d.name == statement.name);
    if owner.is_none_or(|owner| owner.device == *device) {
        return Ok(());
    }
    Err(AppError::conflict(format!(
        "Another device is called {:?}. Give this one another name in its agent's configuration.",
        statement.name
    )))
}

fn check_statement(statement: &EnrolStatement) -> Result<(), AppError> {
    let refuse =
        |what: &str| Err(AppError::bad_request(format!("The enrolment statement {what}.")));
    if statement.version != MESSAGE_VERSION {
        return refuse(
            "has a version that this gateway does not read; upgrade the older of the two",
        );
    }
    let name_chars = statement.name.chars().count();
    let name_is_fit =
        statement.name.chars().all(|c| !c.is_control()) && statement.name.trim() == statement.name;
    if name_chars == 0 || name_chars > NAME_CHARS_MAX || !name_is_fit {
        return refuse(
            "needs a name of 1 to 64 characters, without line breaks or spaces at its ends",
        );
    }
    if statement.name.parse::<DeviceId>().is_ok() {
        return refuse("has a name that looks like a device id");
    }
    let lists = [&statement.cpu_features, &statement.imports, &statement.sensors];
    let is_long = |text: &String| text.len() > TEXT_BYTES_MAX;
    if lists.iter().any(|list| list.len() > LIST_MAX || list.iter().any(is_long))
        || is_long(&statement.agent)
        || is_long(&statement.runtime)
    {
        return refuse("has a list or a text that is too long");
    }
    Ok(())
}

fn check_target(statement: &EnrolStatement) -> Result<(), AppError> {
    // One that nothing can be compiled for is no less a device: it is in the fleet, and
    // each deployment to it is refused by that reason.
    let target = Registry::built_in().find_device(&statement.target).map_err(|e| {
        AppError::bad_request(format!(
            "This gateway does not know the device: {e}. Use a gateway that knows the target."
        ))
    })?;
    let mode = statement.bounds_checks.parse();
    if !mode.is_ok_and(|mode| target.bounds_checks.contains(&mode)) {
        return Err(AppError::bad_request(format!(
            "Target {} has no {:?} bounds checks.",
            target.id,
            shorten(&statement.bounds_checks)
        )));
    }
    Ok(())
}

fn to_record(
    device: DeviceId,
    statement: EnrolStatement,
    enrolled_at_ms: u64,
    admission: Admission,
) -> DeviceRecord {
    DeviceRecord {
        device,
        public_key: statement.public_key,
        name: statement.name,
        target: statement.target,
        bounds_checks: statement.bounds_checks,
        aot_version: statement.aot_version,
        cpu_features: statement.cpu_features,
        imports: statement.imports,
        agent: statement.agent,
        runtime: statement.runtime,
        emulated: statement.emulated,
        sensors: statement.sensors,
        enrolled_at_ms,
        revoked_at_ms: None,
        admission: Some(admission),
        capabilities: None,
        capabilities_at_ms: None,
        scheduling: None,
    }
}
