//! Enrolment: how a device becomes known.

use super::audit::as_device;
use super::model::shorten;
use super::{App, AppError, views};
use crate::store::record::{ClaimRecord, DeviceRecord};
use crate::store::{Change, StoreError};
use device_protocol::{
    ClaimToken, EnrolRequest, EnrolResponse, EnrolStatement, MESSAGE_VERSION, decode_sealed,
    encode_sealed,
};
use gateway_api::{Device, Event, NewClaimToken, ProblemCode};
use module_package::{DeviceId, Domain, PublicKey, SealError, open};
use target_spec::Registry;

/// Longest sealed statement.
const STATEMENT_BYTES_MAX: usize = 16 * 1024;
const LIST_MAX: usize = 64;
const TEXT_BYTES_MAX: usize = 128;
const NAME_CHARS_MAX: usize = 64;
const CLAIM_VALID_S: std::ops::RangeInclusive<u32> = 1..=86_400;
const CLAIM_VALID_S_DEFAULT: u32 = 3_600;
/// Open claims at a time: each is a promise to let a device in.
const CLAIMS_MAX: usize = 10_000;
/// A used claim is kept so that the same device can repeat its enrolment.
const USED_CLAIM_KEPT_MS: u64 = 24 * 3_600 * 1_000;

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
        let token: ClaimToken =
            request.claim_token.parse().map_err(|e| claim_refused(&format!("{e}.")))?;
        let statement = open_statement(request)?;
        check_statement(&statement, &token)?;
        let device = DeviceId::of_key(&statement.public_key.0);
        let mut state = self.state();
        // The one that the token pins, which a rotation may have succeeded: the device
        // walks on from there.
        let Some(root) = self.root_with_id(&state, token.root) else {
            return Err(claim_refused("It names another gateway's root document."));
        };
        let response = EnrolResponse {
            device_id: device.to_string(),
            root: encode_sealed(root),
            broker_url: self.addresses()?.mqtt_url.clone(),
        };
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
        let name_owner = state.model.devices.values().find(|d| d.name == statement.name);
        if name_owner.is_some_and(|owner| owner.device != device) {
            return Err(AppError::conflict(format!(
                "Another device is called {:?}. Give this one another name in its agent's configuration.",
                statement.name
            )));
        }
        if state.model.devices.contains_key(&device) {
            return self.enrol_again(&mut state, statement, claim, response);
        }
        let record = to_record(device.clone(), statement, self.now_ms());
        let used = ClaimRecord { used_by: Some(device.clone()), ..claim };
        self.commit(&mut state, vec![Change::Device(record), Change::Claim(used)])?;
        tracing::info!(device.id = %device, "enrolled");
        self.reconcile(&mut state, std::slice::from_ref(&device))?;
        self.show_device(&state, &device);
        Ok(response)
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
        let record = to_record(device.clone(), statement, enrolled_at_ms);
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

    pub fn devices(&self) -> Vec<Device> {
        let state = self.state();
        let telemetry = self.telemetry();
        let mut devices: Vec<_> = state.model.devices.values().collect();
        devices.sort_by(|a, b| a.name.cmp(&b.name));
        let now_ms = self.now_ms();
        devices.into_iter().map(|d| views::device(&state, &telemetry, d, now_ms)).collect()
    }

    pub fn device(&self, reference: &str) -> Result<Device, AppError> {
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

fn check_statement(statement: &EnrolStatement, token: &ClaimToken) -> Result<(), AppError> {
    let refuse =
        |what: &str| Err(AppError::bad_request(format!("The enrolment statement {what}.")));
    if statement.version != MESSAGE_VERSION {
        return refuse(
            "has a version that this gateway does not read; upgrade the older of the two",
        );
    }
    if statement.claim_hash != token.secret_hash() {
        return refuse("is for another claim token");
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
    let target = Registry::built_in().find(&statement.target).map_err(|e| {
        AppError::bad_request(format!(
            "This gateway cannot compile for the device: {e}. Use a gateway that knows the target."
        ))
    })?;
    let mode = statement.bounds_checks.parse();
    if !mode.is_ok_and(|mode| target.supports_bounds_checks(mode)) {
        return Err(AppError::bad_request(format!(
            "Target {} has no {:?} bounds checks.",
            target.id,
            shorten(&statement.bounds_checks)
        )));
    }
    Ok(())
}

fn to_record(device: DeviceId, statement: EnrolStatement, enrolled_at_ms: u64) -> DeviceRecord {
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
    }
}
