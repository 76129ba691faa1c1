//! The signed documents: what a device believes, and why.
//!
//! | document | signed by | says |
//! |---|---|---|
//! | [`Root`] | a threshold of root keys | which keys may sign what |
//! | [`Release`] | a release key | these bytes are the genuine build of that module |
//! | [`Manifest`] | an assign key | the complete list of what one device shall run |
//! | [`Membership`] | an assign key | where one device finds the broker, and its certificate |
//! | [`Heartbeat`] | an assign key | what time it is, and which manifest is the newest |
//! | [`ModuleStatement`] | a developer | this module is mine, under that name |
//!
//! A document is COSE_Sign1 (the root: COSE_Sign; RFC 9052) over deterministic
//! CBOR, with its [`Domain`] as external data, so that no document can be read
//! as another. The gateway seals, the device opens; both find the rules here.
//! Reports, enrolment and logins of devices are sealed the same way, their
//! content is defined in `device-protocol`.
//!
//! It reads no files, knows no clock and holds no private key: signing is the
//! caller's [`Signer`].

mod channel_message;
mod document;
mod heartbeat;
mod id;
mod membership;
mod module_statement;
mod order;
mod provisions;
mod root;
mod root_signing;
mod seal;
mod sharing;
mod signers;
#[cfg(test)]
mod tests;
mod wasi;

pub use channel_message::{CHANNEL_MESSAGE_BYTES_MAX, ChannelMessage, open_channel_message};
pub use document::{
    AppEntry, CompilePolicy, DocumentError, MANIFEST_APPS_MAX, MANIFEST_BYTES_MAX, METERING_GAS,
    Manifest, Mismatch, NAN_CANONICAL, NO_POLICY, RELEASE_BYTES_MAX, Release, ReleaseLimits,
    ReleaseTarget, RuntimeProfile, check_release, decode_exact, open_manifest, open_release,
};
pub use heartbeat::{HEARTBEAT_BYTES_MAX, Heartbeat, NONCE_BYTES, open_heartbeat};
pub use id::{
    ArtifactId, BlobId, DeviceId, InvalidId, KeyId, ManifestId, ModuleId, ReleaseId, RootId,
};
pub use membership::{MEMBERSHIP_BYTES_MAX, Membership, open_membership};
pub use module_statement::{MODULE_STATEMENT_BYTES_MAX, ModuleStatement, open_module_statement};
pub use order::{Accepted, Order, OrderRefusal, order_manifest};
pub use provisions::{
    ACTUATORS_MAX, CONFIG_BYTES_MAX, CONFIG_ENTRIES_MAX, CONFIG_KEY_BYTES_MAX,
    CONFIG_VALUE_BYTES_MAX, ConfigEntry, Provisions, STORAGE_BYTES_MAX, SUBSCRIPTIONS_MAX,
};
pub use root::{Floor, ROOT_BYTES_MAX, Root, TrustedRoot, seal_root};
pub use root_signing::{RootDraft, add_root_signature};
pub use seal::{Domain, PublicKey, SealError, Signer, open, read_unverified, seal};
pub use sharing::{PRIORITY_MAX, SharedWith, Sharing};
pub use signers::{payload_of, signers_of};
pub use wasi::{
    WASI_DIRECTORIES_MAX, WASI_DIRECTORY_BYTES_MAX, WASI_GUEST_PATH_BYTES_MAX,
    WASI_STRING_BYTES_MAX, WASI_STRINGS_BYTES_MAX, WASI_STRINGS_MAX, WasiDirectory, WasiPlace,
    WasiProvisions, WasiRestart,
};

/// The version that every document carries first.
pub const DOCUMENT_VERSION: u32 = 1;

/// Size of the blocks in which artifacts and releases travel.
pub const BLOCK_BYTES: u32 = 32 * 1024;

/// Largest artifact that a release may name.
pub const ARTIFACT_BYTES_MAX: u64 = 48 * 1024 * 1024;
