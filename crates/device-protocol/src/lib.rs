//! What the gateway and a device say to each other, and on which topics.
//!
//! Down (gateway to device): the sealed manifest, retained, and blocks of blobs.
//! Up (device to gateway): sealed reports, logs, published values, and requests
//! for blocks. All are states or can be repeated: any message may come twice or
//! never. Messages are CBOR maps with integer keys that are only ever added;
//! every one begins with its version. Signed ones are sealed by
//! `module-package::seal` in their domain.
//!
//! Enrolment is HTTP with JSON around a sealed statement ([`EnrolRequest`]).

mod block;
mod brief;
mod capabilities;
mod enrol;
mod guest_report;
mod message;
mod refusal;
mod site;
mod system_report;
mod topic;

pub use block::{Block, Compression, UnpackError};
pub use capabilities::{
    CAPABILITIES_MAX, CAPABILITY_BYTES_MAX, Capabilities, Label, REASON_BYTES_MAX, Unavailable,
};
pub use enrol::{
    CLAIM_TOKEN_PREFIX, ClaimToken, EnrolPending, EnrolRequest, EnrolResponse, EnrolStatement,
    InvalidClaimToken, LOGIN_TOKEN_BYTES_MAX, Login, RENEWAL_BYTES_MAX, RenewRequest,
    RenewResponse, Renewal, decode_sealed, encode_sealed, fingerprint, parse_fingerprint,
};
pub use guest_report::{
    GuestReport, HostCallReport, InboxReport, MetricReport, OutletReport, StorageReport, TrapReport,
};
pub use message::{
    AppReport, AppState, BLOCK_MESSAGE_BYTES_MAX, Bitmap, ClockTrust, CompanyReport, DeviceUsage,
    LOG_LINES_MAX, LogLine, LogMessage, ProgramReport, PublishedMessage, REPORT_BYTES_MAX, Refused,
    Report, UP_MESSAGE_BYTES_MAX, Want,
};
pub use refusal::RefusalCode;
pub use site::{InvalidSiteName, SiteName};
pub use system_report::{BuildReport, FileBuild, LoadReport, SystemReport};
pub use topic::{Topic, up_filter};

/// The version that every message carries first.
pub const MESSAGE_VERSION: u32 = 1;
